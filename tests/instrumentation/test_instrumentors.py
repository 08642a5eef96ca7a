import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler

import exray
from exray.instrumentation import api
from exray.instrumentation.guard import forget_logged
from exray.instrumentation.instrumentors import (
    KerasInstrumentor,
    LiteRTInstrumentor,
    ONNXRuntimeInstrumentor,
)
from exray.testing import MemorySink, recording

from .builders import FLOAT, TINY_LAYERS, litert, make_input, make_interpreter, run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture(autouse=True)
def _nothing_stays_instrumented(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction] - autouse
    forget_logged()
    monkeypatch.setenv("EXRAY_SAMPLING", "all")  # of models this small few frames are recorded
    yield
    for instrumentor in (LiteRTInstrumentor(), KerasInstrumentor()):
        if instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()
    api.shutdown()


def make_provider(
    exporter: InMemorySpanExporter, sampler: Sampler | None = None, **resource: str
) -> TracerProvider:
    attributes = {key.replace("_", "."): value for key, value in resource.items()}
    provider = TracerProvider(sampler, Resource({"service.name": "app", **attributes}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def instrument(exporter: InMemorySpanExporter, **options: Any) -> TracerProvider:
    litert()
    provider = make_provider(exporter, **options)
    LiteRTInstrumentor().instrument(tracer_provider=provider)
    return provider


def spans_of(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    assert exray.flush()
    return list(exporter.get_finished_spans())


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


# --- what is traced -------------------------------------------------------------------------


def test_an_inference_is_a_trace_of_frame_inference_and_layers(
    exporter: InMemorySpanExporter,
) -> None:
    instrument(exporter)

    run(make_interpreter(), make_input())

    spans = spans_of(exporter)
    assert [span.name for span in spans] == ["frame", "inference", *TINY_LAYERS, "tensor"]
    frame, inference, *layers = spans
    assert frame.parent is None
    assert inference.parent is not None and frame.context is not None
    assert inference.parent.span_id == frame.context.span_id
    assert len({span.context.trace_id for span in spans if span.context}) == 1
    assert attributes_of(layers[0])["exray.layer.op"] == "CONV_2D"
    assert attributes_of(layers[0])["exray.tensor.count"] > 0


def test_frames_stand_below_the_applications_span(exporter: InMemorySpanExporter) -> None:
    provider = instrument(exporter)
    interpreter = make_interpreter()

    with provider.get_tracer("app").start_as_current_span("request") as request:
        run(interpreter, make_input())

    frame = next(span for span in spans_of(exporter) if span.name == "frame")
    assert frame.parent is not None
    assert frame.parent.span_id == request.get_span_context().span_id


def test_the_resource_is_the_providers_with_the_run(exporter: InMemorySpanExporter) -> None:
    instrument(exporter, service_version="3.1")

    run(make_interpreter(), make_input())

    attributes = spans_of(exporter)[0].resource.attributes
    assert attributes["service.name"] == "app"
    assert attributes["service.version"] == "3.1"
    assert attributes["exray.model.name"] == FLOAT.stem
    assert len(str(attributes["exray.run.id"])) == 32


def test_without_a_provider_the_global_one_gets_the_spans(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    litert()
    provider = make_provider(exporter)
    LiteRTInstrumentor().instrument()  # before the application has set its own
    monkeypatch.setattr(otel_trace, "get_tracer_provider", lambda: provider)

    run(make_interpreter(), make_input())

    assert spans_of(exporter)[0].name == "frame"


def test_level_may_be_chosen(exporter: InMemorySpanExporter) -> None:
    litert()
    LiteRTInstrumentor().instrument(tracer_provider=make_provider(exporter), level="latency")

    run(make_interpreter(), make_input())

    spans = spans_of(exporter)
    assert [span.name for span in spans][:2] == ["frame", "inference"]
    assert [span.name for span in spans if "exray.tensor.count" in attributes_of(span)] == []


def test_what_the_model_computes_is_not_changed(exporter: InMemorySpanExporter) -> None:
    plain = run(make_interpreter(), make_input())
    instrument(exporter)

    np.testing.assert_array_equal(run(make_interpreter(), make_input()), plain)


# --- what is not ----------------------------------------------------------------------------


def test_traces_that_the_sampler_drops_are_not_recorded(exporter: InMemorySpanExporter) -> None:
    provider = instrument(exporter, sampler=ALWAYS_OFF)
    interpreter = make_interpreter()

    run(interpreter, make_input())
    with provider.get_tracer("app").start_as_current_span("request"):
        run(interpreter, make_input())

    assert spans_of(exporter) == []


def test_a_disabled_sdk_leaves_everything_alone(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    before = vars(litert().Interpreter).copy()

    instrument(exporter)

    assert vars(litert().Interpreter) == before
    assert api.current_recorder() is None


def test_a_provider_that_ends_no_spans_is_logged(
    exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    litert()
    LiteRTInstrumentor().instrument(tracer_provider=otel_trace.NoOpTracerProvider())

    run(make_interpreter(), make_input())

    assert exray.flush()
    assert "the tracer provider is a NoOpTracerProvider, which ends no spans" in caplog.text


def test_a_configuration_of_the_application_goes_before(
    exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    sink = MemorySink()
    with recording(sink):
        instrument(exporter)
        run(make_interpreter(), make_input())

    assert len(sink.frames) == 1
    assert exporter.get_finished_spans() == ()
    assert "exray.configure() records already" in caplog.text


def test_more_spans_than_a_batch_processor_keeps_all_arrive(
    exporter: InMemorySpanExporter,
) -> None:
    litert()
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter))  # which keeps 2048
    LiteRTInstrumentor().instrument(tracer_provider=provider)
    interpreter = make_interpreter()

    for seed in range(500):
        run(interpreter, make_input(seed))

    assert len(spans_of(exporter)) == 500 * 8
    provider.shutdown()


# --- undone ---------------------------------------------------------------------------------


def test_uninstrument_puts_the_classes_back(exporter: InMemorySpanExporter) -> None:
    module = litert()
    before = vars(module.Interpreter).copy(), vars(module.SignatureRunner).copy()
    instrument(exporter)
    assert vars(module.Interpreter) != before[0]

    LiteRTInstrumentor().uninstrument()

    assert (vars(module.Interpreter), vars(module.SignatureRunner)) == before
    run(make_interpreter(), make_input())
    assert exporter.get_finished_spans() == ()


def test_uninstrument_ends_what_was_recorded(exporter: InMemorySpanExporter) -> None:
    instrument(exporter)
    run(make_interpreter(), make_input())

    LiteRTInstrumentor().uninstrument()

    assert len(exporter.get_finished_spans()) == 8


def test_it_may_be_instrumented_again(exporter: InMemorySpanExporter) -> None:
    for _ in range(2):
        instrument(exporter)
        run(make_interpreter(), make_input())
        LiteRTInstrumentor().uninstrument()

    assert len(exporter.get_finished_spans()) == 16


@pytest.mark.keras
def test_each_runtime_is_undone_by_itself(exporter: InMemorySpanExporter) -> None:
    keras = pytest.importorskip("keras")
    before = keras.Model.__call__, litert().Interpreter.invoke
    provider = make_provider(exporter)
    LiteRTInstrumentor().instrument(tracer_provider=provider)
    KerasInstrumentor().instrument(tracer_provider=provider)
    recorder = api.current_recorder()

    LiteRTInstrumentor().uninstrument()

    assert (keras.Model.__call__ is before[0], litert().Interpreter.invoke is before[1]) == (
        *(False, True),
    )
    assert api.current_recorder() is recorder
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2, name="only")])
    model(np.ones((1, 3), np.float32))
    run(make_interpreter(), make_input())
    assert [span.name for span in spans_of(exporter)][:3] == ["frame", "inference", "Dense"]
    assert sum(span.name == "frame" for span in exporter.get_finished_spans()) == 1

    KerasInstrumentor().uninstrument()
    assert keras.Model.__call__ is before[0]
    assert api.current_recorder() is None


@pytest.mark.keras
def test_keras_alone_leaves_litert_alone(exporter: InMemorySpanExporter) -> None:
    pytest.importorskip("keras")
    KerasInstrumentor().instrument(tracer_provider=make_provider(exporter))

    run(make_interpreter(), make_input())

    assert spans_of(exporter) == []


# --- as OpenTelemetry finds them ------------------------------------------------------------


def test_the_entry_points_name_the_instrumentors() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    entry_points = project["entry-points"]["opentelemetry_instrumentor"]

    found = {}
    for name, target in entry_points.items():
        module, _, attribute = target.partition(":")
        found[name] = getattr(import_module(module), attribute)

    assert found == {
        "exray_litert": LiteRTInstrumentor,
        "exray_keras": KerasInstrumentor,
        "exray_onnxruntime": ONNXRuntimeInstrumentor,
    }


def test_the_dependencies_are_what_is_instrumented() -> None:
    litert()
    assert LiteRTInstrumentor().instrumentation_dependencies() == ("ai-edge-litert >= 2.0",)
    assert "keras >= 3" in KerasInstrumentor().instrumentation_dependencies()


APPLICATION = f"""
import numpy as np
from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter({str(FLOAT)!r})
interpreter.allocate_tensors()
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.ones((1, 8, 8, 3), "f4"))
interpreter.invoke()
"""


def test_opentelemetry_instrument_traces_an_unchanged_program(tmp_path: Path) -> None:
    litert()
    pytest.importorskip("opentelemetry.distro")
    command = Path(sys.executable).with_name("opentelemetry-instrument")
    script = tmp_path / "app.py"
    script.write_text(APPLICATION)
    variables = {
        "OTEL_TRACES_EXPORTER": "console",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "EXRAY_SAMPLING": "all",
        "OTEL_SERVICE_NAME": "shelf-camera",
        "OTEL_RESOURCE_ATTRIBUTES": "service.version=1.4.2,team=vision",
        "PYTHONPATH": os.pathsep.join([str(make_entry_points(tmp_path)), *sys.path]),
    }

    done = subprocess.run(
        [command, sys.executable, script],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    spans = decode_console(done.stdout)
    assert [span["name"] for span in spans] == ["frame", "inference", *TINY_LAYERS, "tensor"]
    assert len({span["context"]["trace_id"] for span in spans}) == 1
    resource = spans[0]["resource"]["attributes"]
    assert resource["service.name"] == "shelf-camera"
    assert (resource["service.version"], resource["team"]) == ("1.4.2", "vision")


def make_entry_points(folder: Path) -> Path:
    """Return a folder whose metadata has exray's entry points, however exray is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    entry_points = project["entry-points"]["opentelemetry_instrumentor"]
    metadata = folder / "site" / "exray-0.0.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: exray\nVersion: 0.0.0\n")
    lines = [f"{name} = {target}\n" for name, target in entry_points.items()]
    (metadata / "entry_points.txt").write_text("[opentelemetry_instrumentor]\n" + "".join(lines))
    return metadata.parent


def decode_console(text: str) -> list[dict[str, Any]]:
    """Return the JSON objects that stand one after the other in *text*."""
    decoder, found, at = json.JSONDecoder(), list[dict[str, Any]](), 0
    while (at := text.find("{", at)) >= 0:
        value, at = decoder.raw_decode(text, at)
        found.append(value)
    return found
