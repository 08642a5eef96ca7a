"""Run checks of one's own over a scene: each that fails is a cause."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from exray.diagnosis.causes import Cause, Finder, Scene, Where

from .assertion import Assertion, CannotTellError, Checked
from .read import read_frames
from .seen import Frame, Tensor
from .sources import SqlAssertion


def finder_of(assertions: Sequence[Assertion | SqlAssertion]) -> Finder:
    """Return a finder that asks these checks.

    A check that lacks what it needs everywhere is reported as one that could not look, like
    any other finder that fails: it holds nothing.
    """

    def find_assertions(scene: Scene) -> Iterable[Cause]:
        frames = read_frames(scene) if any(isinstance(a, Assertion) for a in assertions) else []
        untold: list[str] = []
        for check in assertions:
            if isinstance(check, SqlAssertion):
                yield from _asked(check, scene)
                continue
            try:
                yield from _run(check, frames)
            except CannotTellError as error:
                untold.append(f"{check.name}: {error}")
        if untold:
            raise CannotTellError("; ".join(untold))

    return find_assertions


def _run(check: Assertion, frames: Sequence[Frame]) -> Iterator[Cause]:
    """Yield one cause for the place at which most frames are wrong."""
    wrong: dict[Where, list[tuple[str, str]]] = {}
    seen, untold = 0, None
    for frame in frames:
        for where, given in _given(check, frame):
            try:
                told = check.wrong(given)
            except CannotTellError as error:
                untold = error
                continue
            seen += 1
            if told is not None:
                wrong.setdefault(where, []).append((frame.input_id, told))
    if not seen and untold is not None:
        raise untold
    for where, found in wrong.items():
        input_id, told = found[0]
        yield Cause(
            code=f"assertion.{check.name}",
            what=told,
            where=where,
            confidence=1.0,
            evidence={"violations": len(found), "checked": seen, "input_id": input_id},
            fix=check.fix,
        )


def _given(check: Assertion, frame: Frame) -> Iterator[tuple[Where, Checked]]:
    if check.over == "frames":
        yield Where(stage="frame"), frame
        return
    for pair in frame.pairs:
        if check.wants(pair.edge):
            yield _where(pair.edge), pair if check.over == "pairs" else pair.edge


def _where(tensor: Tensor) -> Where:
    if tensor.layer_index is None:
        return Where(stage="model input" if tensor.role == "input" else tensor.name)
    return Where(layer_index=tensor.layer_index, layer=tensor.layer_name, op=tensor.op)


def _asked(check: SqlAssertion, scene: Scene) -> Iterator[Cause]:
    selectors = {"edge": scene.edge.selector, "reference": scene.reference.selector}
    if scene.baseline_selection is not None:
        selectors["baseline"] = scene.baseline_selection.selector
    missing = check.parameters - set(selectors)
    if missing:
        msg = f"{check.name}: it asks about ${missing.pop()}. Pass --baseline BUILD."
        raise CannotTellError(msg)
    with scene.cursors.cursor() as cursor:
        cursor.execute(check.text, {name: selectors[name] for name in check.parameters})
        names = [str(column[0]) for column in cursor.description or []]
        rows: list[dict[str, Any]] = [
            dict(zip(names, row, strict=True)) for row in cursor.fetchall()
        ]
    if not rows:
        return
    first = rows[0]
    told = first.get("what") or ", ".join(f"{name} {value}" for name, value in first.items())
    yield Cause(
        code=f"assertion.{check.name}",
        what=str(told),
        where=Where(
            stage=first.get("stage"),
            layer_index=first.get("layer_index"),
            layer=first.get("layer_name"),
            op=first.get("op"),
        ),
        confidence=1.0,
        evidence={"violations": len(rows)},
        fix=check.fix,
    )
