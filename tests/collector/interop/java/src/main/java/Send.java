import static io.opentelemetry.api.common.AttributeKey.booleanArrayKey;
import static io.opentelemetry.api.common.AttributeKey.booleanKey;
import static io.opentelemetry.api.common.AttributeKey.doubleArrayKey;
import static io.opentelemetry.api.common.AttributeKey.doubleKey;
import static io.opentelemetry.api.common.AttributeKey.longArrayKey;
import static io.opentelemetry.api.common.AttributeKey.longKey;
import static io.opentelemetry.api.common.AttributeKey.stringArrayKey;
import static io.opentelemetry.api.common.AttributeKey.stringKey;

import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanContext;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.TraceFlags;
import io.opentelemetry.api.trace.TraceState;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Context;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.exporter.otlp.trace.OtlpGrpcSpanExporter;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.export.BatchSpanProcessor;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.util.concurrent.TimeUnit;

/** Sends the span of every kind of value: {@code Send grpc|http ENDPOINT SERVICE gzip|none}. */
public final class Send {
  private static final long BEGIN_NS = 1_760_000_000_123_456_789L;

  public static void main(String[] args) {
    Resource resource =
        Resource.create(
            Attributes.builder()
                .put("service.name", args[2])
                .put("service.version", "1.4.2")
                .put(longArrayKey("shelf.sizes"), 1L, 2L)
                .build());
    SdkTracerProvider provider =
        SdkTracerProvider.builder()
            .setResource(resource)
            .addSpanProcessor(BatchSpanProcessor.builder(exporter(args[0], args[1], args[3])).build())
            .build();
    Tracer tracer = provider.tracerBuilder("interop").setInstrumentationVersion("1.2.3").build();
    Span outer =
        tracer
            .spanBuilder("outer")
            .setSpanKind(SpanKind.SERVER)
            .setNoParent()
            .setStartTimestamp(BEGIN_NS - 1000, TimeUnit.NANOSECONDS)
            .startSpan();
    SpanContext remote =
        SpanContext.createFromRemoteParent(
            "0123456789abcdef0123456789abcdef",
            "0123456789abcdef",
            TraceFlags.getSampled(),
            TraceState.builder().put("vendor", "1").build());
    Span whole =
        tracer
            .spanBuilder("whole")
            .setSpanKind(SpanKind.CLIENT)
            .setParent(Context.root().with(outer))
            .setStartTimestamp(BEGIN_NS, TimeUnit.NANOSECONDS)
            .addLink(remote, Attributes.of(stringKey("reason"), "retry"))
            .setAttribute(stringKey("text"), "gr\u00fc\u00dfe")
            .setAttribute(stringKey("empty"), "")
            .setAttribute(booleanKey("flag"), true)
            .setAttribute(longKey("count"), 9007199254740991L)
            .setAttribute(longKey("negative"), -5L)
            .setAttribute(doubleKey("ratio"), 0.1)
            .setAttribute(stringArrayKey("texts"), java.util.List.of("a", "b"))
            .setAttribute(booleanArrayKey("flags"), java.util.List.of(true, false))
            .setAttribute(longArrayKey("counts"), java.util.List.of(1L, 2L, 3L))
            .setAttribute(doubleArrayKey("ratios"), java.util.List.of(0.5, -1.5))
            .startSpan();
    whole.addEvent(
        "cache miss",
        Attributes.of(stringKey("key"), "k", longKey("size"), 3L),
        BEGIN_NS + 1000,
        TimeUnit.NANOSECONDS);
    whole.setStatus(StatusCode.ERROR, "it broke");
    whole.end(BEGIN_NS + 1_500_000, TimeUnit.NANOSECONDS);
    outer.end(BEGIN_NS + 2_000_000, TimeUnit.NANOSECONDS);
    provider.close();
  }

  private static SpanExporter exporter(String protocol, String endpoint, String packing) {
    return protocol.equals("grpc")
        ? OtlpGrpcSpanExporter.builder().setEndpoint(endpoint).setCompression(packing).build()
        : OtlpHttpSpanExporter.builder().setEndpoint(endpoint).setCompression(packing).build();
  }
}
