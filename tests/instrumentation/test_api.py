import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exray
from exray.instrumentation import api, sinks
from exray.instrumentation.guard import forget_logged
from exray.instrumentation.recorder import Recorder
from exray.instrumentation.scopes import Frame, Stage
from exray.schema.errors import LakeError, MissingExtraError, UsageError
from exray.testing import MemorySink, recording

from .builders import FLOAT, INT8, FakeModel, litert, make_input, make_interpreter, raising, run

ENVIRONMENT = ("EXRAY_BUILD", "EXRAY_ROLE", "EXRAY_LAKE", "EXRAY_LEVEL", "EXRAY_GUARD")


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction] - autouse
    forget_logged()
    for name in (*ENVIRONMENT[:-1], "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    yield
    exray.shutdown()


def in_process(code: str, *args: object, **environment: str) -> str:
    """Run a program of its own, as an application would be, and return what it printed."""
    inherited = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *map(str, args)],
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def recorded_frames(lake: Path) -> list[tuple[str, str]]:
    """Return input id and build of every frame in a lake."""
    import pyarrow.parquet as pq

    from exray.lake import Lake

    rows: list[tuple[str, str]] = []
    for file in Lake.open(lake).files("frames"):
        parquet: Any = pq.ParquetFile(file)
        table = parquet.read(columns=["input_id", "build"])
        rows += [(row["input_id"], row["build"]) for row in table.to_pylist()]
    return sorted(rows)


# --- configure ------------------------------------------------------------------------------


def test_two_lines_in_an_application_write_a_lake(tmp_path: Path) -> None:
    pytest.importorskip("deltalake")
    pytest.importorskip("ai_edge_litert")
    lake = tmp_path / "lake"

    exray.configure(build="1.4.2", role="edge", lake=lake)
    interpreter = make_interpreter(INT8)
    for name in ("a", "b"):
        with exray.frame(input_id=name, label=1) as frame:
            frame.prediction(run(interpreter, make_input(dtype=np.int8)))
    assert exray.flush(60)

    assert recorded_frames(lake) == [("a", "1.4.2"), ("b", "1.4.2")]


def test_what_was_recorded_is_written_when_the_application_ends(tmp_path: Path) -> None:
    pytest.importorskip("deltalake")
    pytest.importorskip("ai_edge_litert")
    lake = tmp_path / "lake"

    in_process(
        """
        import sys, exray
        exray.configure(build="7", lake=sys.argv[1])
        from ai_edge_litert.interpreter import Interpreter
        interpreter = Interpreter(sys.argv[2])
        interpreter.allocate_tensors()
        with exray.frame("a"):
            interpreter.invoke()
        """,
        lake,
        FLOAT,
    )

    assert recorded_frames(lake) == [("a", "7")]


def test_without_the_extra_the_install_line_is_logged_once_and_the_application_runs_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    missing = MissingExtraError("lake", "recording into the lake 'lake'")
    monkeypatch.setattr(sinks, "LakeExporter", raising(missing))

    for _ in range(2):
        exray.configure(lake=tmp_path / "lake")

    (message,) = caplog.messages
    assert "pip install 'exray[lake]'" in message
    assert "the application runs on" in message
    assert type(exray.frame("a")) is Frame


def test_without_the_extras_packages_an_application_runs_on() -> None:
    pytest.importorskip("ai_edge_litert")

    printed = in_process(
        """
        import sys
        sys.modules["pyarrow"] = sys.modules["deltalake"] = sys.modules["duckdb"] = None
        import exray
        exray.configure(lake="lake")
        exray.configure(lake="lake")
        from ai_edge_litert.interpreter import Interpreter
        interpreter = Interpreter(sys.argv[1])
        interpreter.allocate_tensors()
        with exray.frame("a") as frame:
            interpreter.invoke()
        print("ran on")
        """,
        FLOAT,
    )

    assert printed.count("pip install 'exray[lake]'") == 1
    assert "ran on" in printed


def test_a_path_that_is_not_a_lake_is_logged_and_the_application_runs_on(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    pytest.importorskip("deltalake")
    (tmp_path / "photo.jpg").write_bytes(b"")

    exray.configure(lake=tmp_path)

    (message,) = caplog.messages
    assert str(tmp_path) in message
    assert type(exray.frame("a")) is Frame
    assert [file.name for file in tmp_path.iterdir()] == ["photo.jpg"]


@pytest.mark.parametrize("error", [LakeError("no lake."), OSError("no disk"), MemoryError()])
def test_whatever_keeps_a_lake_from_being_opened_the_application_runs_on(
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    monkeypatch.delenv("EXRAY_GUARD")
    monkeypatch.setattr(sinks, "LakeExporter", raising(error))

    exray.configure(lake=tmp_path / "lake")

    assert len(caplog.messages) == 1
    assert type(exray.frame("a")) is Frame


def test_a_bad_argument_is_an_error_and_leaves_the_configuration_as_it_was() -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        with pytest.raises(UsageError, match="role 'server'"):
            exray.configure(role="server")

        assert api.current_recorder() is recorder


def test_level_off_patches_nothing_and_frames_and_stages_do_nothing() -> None:
    interpreter = litert().Interpreter
    before: dict[str, Any] = {name: vars(interpreter)[name] for name in ("__init__", "invoke")}
    exray.configure(level="off")

    assert {name: vars(interpreter)[name] for name in before} == before
    assert type(exray.frame("a")) is Frame
    with exray.frame("a"):
        assert type(exray.stage("decode")) is Stage
        exray.record("light", 1)
    assert exray.flush()


def test_a_second_configuration_ends_the_first_and_writes_it(tmp_path: Path) -> None:
    pytest.importorskip("deltalake")
    for build in ("1", "2"):
        exray.configure(build=build, lake=tmp_path / "lake")
        recorder = api.current_recorder()
        assert recorder is not None
        model = FakeModel(recorder)
        with exray.frame(f"of {build}"):
            model()
    exray.shutdown()

    assert recorded_frames(tmp_path / "lake") == [("of 1", "1"), ("of 2", "2")]


def test_shutting_down_twice_is_shutting_down_once() -> None:
    sink = MemorySink()
    with recording(sink):
        exray.shutdown()
        sink.closed = False
        exray.shutdown()

    assert not sink.closed
    assert api.current_recorder() is None


def test_starting_another_recorder_ends_the_one_before() -> None:
    first, second = MemorySink(), MemorySink()
    with recording(first) as old, recording(second) as new:
        assert (old.open, new.open) == (False, True)
        assert first.closed


def test_where_nothing_is_recorded_there_is_nothing_to_write() -> None:
    assert exray.flush(0.0)


# --- runtimes -------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["exray", "runtime"])
def test_the_order_of_imports_does_not_matter(first: str) -> None:
    pytest.importorskip("ai_edge_litert")

    printed = in_process(
        """
        import sys
        def configure():
            from exray.testing import MemorySink, recording
            global sink, block
            sink = MemorySink()
            block = recording(sink)
            block.__enter__()
        def import_it():
            global Interpreter
            from ai_edge_litert.interpreter import Interpreter
        for step in (configure, import_it) if sys.argv[1] == "exray" else (import_it, configure):
            step()
        interpreter = Interpreter(sys.argv[2])
        interpreter.allocate_tensors()
        interpreter.invoke()
        print(len(sink.frames), "frame", len(sink.frames[0].inferences[0].layers.rows), "layers")
        """,
        first,
        FLOAT,
    )

    assert "1 frame 5 layers" in printed


def test_a_runtime_is_never_imported_by_exray(tmp_path: Path) -> None:
    printed = in_process(
        """
        import sys, exray
        from exray.testing import MemorySink, recording
        with recording(MemorySink()), exray.frame("a"):
            with exray.stage("decode") as stage:
                stage.output([1, 2])
        runtimes = {"ai_edge_litert", "tensorflow", "keras", "onnxruntime", "onnx", "pyarrow", "deltalake", "duckdb"}
        print("imported:", sorted(runtimes & set(sys.modules)))
        """,
    )

    assert "imported: []" in printed


def test_a_forked_childs_frames_belong_to_another_run_and_nothing_hangs() -> None:
    pytest.importorskip("ai_edge_litert")
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")

    printed = in_process(
        """
        import os, sys, threading, time, exray
        from exray.testing import MemorySink, recording
        from ai_edge_litert.interpreter import Interpreter
        sink = MemorySink()
        with recording(sink) as recorder:
            # One thread, as a fork copies no other: it stands for what others hold then.
            held = threading.Thread(target=lambda: (recorder._lock.acquire(), time.sleep(60)),
                                    daemon=True)
            interpreter = Interpreter(sys.argv[1], num_threads=1)
            interpreter.allocate_tensors()
            interpreter.invoke()
            parents = sink.frames[0].run.run_id
            with exray.frame("open while forking"):
                held.start()
                while not recorder._lock.locked():
                    time.sleep(0.001)
                child = os.fork()
                if child:
                    _, status = os.waitpid(child, 0)
                    os._exit(os.waitstatus_to_exitcode(status))
                sink.frames.clear()
                interpreter.invoke()
            with exray.frame("mine"):
                interpreter.invoke()
            own = {frame.run.run_id for frame in sink.frames}
            print([frame.input_id[:4] for frame in sink.frames[1:]], len(sink.frames),
                  len(own), parents in own, own <= set(sink.runs), flush=True)
            os._exit(0)
        """,
        FLOAT,
    )

    assert "['mine'] 2 1 False True" in printed


# --- instrument -----------------------------------------------------------------------------


def test_instrument_before_configure_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    thing = object()

    assert exray.instrument(thing) is thing
    exray.instrument(thing)

    (message,) = caplog.messages
    assert "before exray.configure()" in message


def test_what_cannot_be_instrumented_is_logged_and_returned(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("EXRAY_GUARD")
    thing = ["no model"]
    with recording(MemorySink()):
        assert exray.instrument(thing) is thing

    assert "got builtins.list; expected a LiteRT or tf.lite Interpreter" in caplog.messages[0]


def test_what_is_no_model_has_no_run() -> None:
    with recording(MemorySink()):
        assert api.run_of(make_input()) is None
        assert api.run_of(7) is None


# --- names that cannot be used --------------------------------------------------------------


class Unprintable:
    """An input whose name cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no name")


def test_a_frame_or_stage_whose_name_cannot_be_had_does_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("EXRAY_GUARD")
    sink, unprintable = MemorySink(), Unprintable()
    with recording(sink):
        with exray.frame(unprintable), exray.stage(unprintable):  # type: ignore[arg-type] # as users will
            pass
        with exray.frame("a", label=unprintable):
            pass

    assert sink.frames == []


def test_paths_and_numbers_name_an_input_as_text() -> None:
    sink = MemorySink()
    with recording(sink):
        for name in (Path("a/b.png"), 7):
            with exray.frame(name):  # type: ignore[arg-type] # as users will
                pass

    assert [frame.input_id for frame in sink.frames] == [str(Path("a/b.png")), "7"]


def test_the_current_recorder_is_the_one_that_records() -> None:
    assert api.current_recorder() is None
    with recording(MemorySink()) as recorder:
        assert isinstance(recorder, Recorder)
        assert api.current_recorder() is recorder
