// Sends the span of every kind of value by one of OpenTelemetry's exporters.
//
//   node send.js proto|http|grpc ENDPOINT SERVICE
'use strict';

const { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, trace } = require('@opentelemetry/api');
const { resourceFromAttributes } = require('@opentelemetry/resources');
const { BasicTracerProvider, BatchSpanProcessor } = require('@opentelemetry/sdk-trace-base');

const [, , exporter, url, service] = process.argv;
const { OTLPTraceExporter } = require(`@opentelemetry/exporter-trace-otlp-${exporter}`);

const at = (nanos) => [1760000000, 123456789 + nanos];

async function main() {
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({
      'service.name': service,
      'service.version': '1.4.2',
      'shelf.sizes': [1, 2],
    }),
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ url }))],
  });
  const tracer = provider.getTracer('interop', '1.2.3');
  const outer = tracer.startSpan('outer', { kind: SpanKind.SERVER, startTime: at(-1000) }, ROOT_CONTEXT);
  const whole = tracer.startSpan(
    'whole',
    {
      kind: SpanKind.CLIENT,
      startTime: at(0),
      attributes: {
        text: 'grüße',
        empty: '',
        flag: true,
        count: 9007199254740991,
        negative: -5,
        ratio: 0.1,
        texts: ['a', 'b'],
        flags: [true, false],
        counts: [1, 2, 3],
        ratios: [0.5, -1.5],
      },
      links: [
        {
          context: {
            traceId: '0123456789abcdef0123456789abcdef',
            spanId: '0123456789abcdef',
            traceFlags: TraceFlags.SAMPLED,
          },
          attributes: { reason: 'retry' },
        },
      ],
    },
    trace.setSpan(ROOT_CONTEXT, outer),
  );
  whole.addEvent('cache miss', { key: 'k', size: 3 }, at(1000));
  whole.setStatus({ code: SpanStatusCode.ERROR, message: 'it broke' });
  whole.end(at(1500000));
  outer.end(at(2000000));
  await provider.shutdown();
}

main();
