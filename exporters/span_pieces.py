"""Spans of exray as OTLP messages with holes, a section at a time."""

from collections.abc import Sequence

from exray.schema.attributes import (
    EXRAY_FRAME_ID,
    EXRAY_INPUT_KEY,
    EXRAY_LEVEL,
    EXRAY_SAMPLE_RATE,
    EXRAY_TENSOR_SKETCH,
)
from exray.schema.records import FrameRecord, LayerSite, SpanRecord, TensorSite

from .otlp_span import ATTRIBUTES, KINDS, LOCAL_PARENT, SPANS, status
from .section import OWN, Form
from .span_content import (
    COUNTS,
    FRAME,
    INFERENCE,
    REALS,
    SKETCH_PREFIX,
    TENSOR,
    Attributes,
    layer_attributes,
    tensor_place,
    tensor_span_place,
)
from .template import FRAME_HEX, KEY, TRACE, Layout, sketch_chars, sketch_kind
from .wire import (
    WORD,
    Hole,
    Piece,
    attribute_hole,
    attributes,
    double_hole,
    integer,
    join,
    long_hole,
    message,
    prefix,
    short_hole,
    string_hole,
    text,
    word_hole,
)

_INPUT_KEY = attribute_hole(ATTRIBUTES, EXRAY_INPUT_KEY, long_hole(KEY))
_FRAME_ID = attribute_hole(
    ATTRIBUTES,
    EXRAY_FRAME_ID,
    Piece(prefix(1, 16) + bytes(16), (Hole(WORD, 2, FRAME_HEX[0]), Hole(WORD, 10, FRAME_HEX[1]))),
)
_BELOW_FRAME = join([_FRAME_ID, _INPUT_KEY])


def inference_piece(
    form: Form, layout: Layout, layers: Sequence[LayerSite], tensors: Sequence[TensorSite]
) -> Piece:
    """Return the spans of an inference: itself, its layers, its further tensors.

    Args:
        form: Labelled by each layer's site, each layer's being unmeasured, and each
            tensor's site.
        layout: Where the numbers come from.
        layers: The sites of the layers.
        tensors: The sites of the tensors.
    """
    count = layout.spans - len(form.own) - 1
    labels: list[int] = form.labels.tolist()
    seen = [tensors[site] for site in labels[2 * count :]]
    carried = _carried(form, layout, seen)
    own = [_BELOW_FRAME, carried.get(0, Piece(b""))]
    spans = [_span(layout, 0, INFERENCE, own, parent=layout.span(1, 0))]
    places = zip(labels[:count], labels[count : 2 * count], strict=True)
    for slot, (site, missing) in enumerate(places, 1):
        layer = layers[site]
        place = layer_attributes(layer, measured=not missing)
        content = [_BELOW_FRAME, _plain(place), carried.get(slot, Piece(b""))]
        spans.append(_span(layout, slot, layer.op, content, parent=layout.span(0, 0)))
    return join([*spans, *_own_spans(form, layout, seen)])


def frame_body(
    form: Form,
    layout: Layout,
    frame: FrameRecord,
    numbers: Sequence[str],
    tensors: Sequence[TensorSite],
) -> Piece:
    """Return a frame's span up to what has no fixed size: its text and what follows.

    Args:
        form: Without labels.
        layout: Where the numbers come from.
        frame: One of those that are alike.
        numbers: Keys of its integer attributes besides the input key.
        tensors: The sites of the tensors outside models, row by row.
    """
    ints = [
        attribute_hole(ATTRIBUTES, key, long_hole(layout.number(i)))
        for i, key in enumerate(numbers)
    ]
    rate = attribute_hole(ATTRIBUTES, EXRAY_SAMPLE_RATE, double_hole(layout.extra_real(0)))
    carried = _carried(form, layout, tensors).get(0, Piece(b""))
    level = _plain({EXRAY_LEVEL: frame.level})
    content = [_INPUT_KEY, *ints, level, rate, carried]
    parent = None if frame.parent_span_id is None else layout.span(1, 0)
    return _span_body(layout, 0, FRAME, content, parent)


def stages_piece(
    form: Form, layout: Layout, stages: Sequence[SpanRecord], tensors: Sequence[TensorSite]
) -> Piece:
    """Return a frame's stages and those tensors outside models that have their own span."""
    carried = _carried(form, layout, tensors)
    spans = [
        _span(
            layout,
            slot,
            stage.name,
            [_BELOW_FRAME, carried.get(slot, Piece(b""))],
            kind=KINDS[stage.kind],
            end=status(stage.status, stage.status_message),
            parent=None if stage.parent_span_id is None else layout.span(1, slot),
        )
        for slot, stage in enumerate(stages, 1)
    ]
    return join([*spans, *_own_spans(form, layout, tensors)])


def _own_spans(form: Form, layout: Layout, sites: Sequence[TensorSite]) -> list[Piece]:
    first = layout.spans - len(form.own)
    own: list[int] = form.own.tolist()
    return [
        _span(
            layout,
            first + position,
            TENSOR,
            [
                _BELOW_FRAME,
                _plain(tensor_span_place(sites[row])),
                _statistics(form, layout, row),
            ],
            parent=layout.span(1, first + position),
        )
        for position, row in enumerate(own)
    ]


def _carried(form: Form, layout: Layout, sites: Sequence[TensorSite]) -> dict[int, Piece]:
    """Return the attributes of the tensors that other spans carry, by the carrier's slot."""
    carriers: list[int] = form.carriers.tolist()
    return {
        carrier: join([_plain(tensor_place(sites[row])), _statistics(form, layout, row)])
        for row, carrier in enumerate(carriers)
        if carrier != OWN
    }


def _statistics(form: Form, layout: Layout, row: int) -> Piece:
    ints = [
        attribute_hole(ATTRIBUTES, key, _count_hole(layout, field, row))
        for field, key in enumerate(COUNTS.values())
    ]
    reals = [
        attribute_hole(ATTRIBUTES, key, double_hole(layout.real(field, row)))
        for field, key in enumerate(REALS.values())
        if not form.nulls[row, field]
    ]
    texts = _plain(form.texts.get(row, {}))
    return join([*ints, *reals, *_sketch(form, row), texts])


def _count_hole(layout: Layout, field: int, row: int) -> Piece:
    if field < layout.first_long:
        return short_hole(layout.short(field, row))
    return long_hole(layout.long(field, row))


def _sketch(form: Form, row: int) -> list[Piece]:
    shown = form.sketch_of(row)
    if shown is None:
        return []
    size, column = shown
    mark = SKETCH_PREFIX.encode()
    value = string_hole(sketch_chars(size), sketch_kind(size), column, mark)
    return [attribute_hole(ATTRIBUTES, EXRAY_TENSOR_SKETCH, value)]


def _span(
    layout: Layout,
    slot: int,
    name: str,
    content: Sequence[Piece],
    *,
    parent: int | None,
    kind: int = KINDS["internal"],
    end: bytes = b"",
) -> Piece:
    body = _span_body(layout, slot, name, content, parent, kind)
    return message(SPANS, join([body, Piece(end + LOCAL_PARENT)]))


def _span_body(
    layout: Layout,
    slot: int,
    name: str,
    content: Sequence[Piece],
    parent: int | None,
    kind: int = KINDS["internal"],
) -> Piece:
    """Return the fields of a span in their order, up to the attributes.

    Args:
        layout: Where the numbers come from.
        slot: Of the span.
        name: The span's.
        content: Its attributes.
        parent: Column of the parent's id, None for a root.
        kind: Number of its kind.
    """
    above = [] if parent is None else [word_hole(prefix(4, 8), parent)]
    return join(
        [
            word_hole(prefix(1, 16), *TRACE),
            word_hole(prefix(2, 8), layout.span(0, slot)),
            *above,
            Piece(text(5, name) + integer(6, kind)),
            word_hole(b"\x39", layout.span(2, slot)),
            word_hole(b"\x41", layout.span(3, slot)),
            *content,
        ]
    )


def _plain(values: Attributes) -> Piece:
    return Piece(attributes(ATTRIBUTES, values))
