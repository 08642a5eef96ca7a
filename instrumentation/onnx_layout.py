"""Which layout each tensor of an ONNX graph is in.

ONNX's convolutions and pools have channels first, but not every tensor of four dimensions
is an image, and converters from channels-last frameworks put transposes between. So the
layout is followed through the graph, from the operators that fix it.
"""

from collections.abc import Mapping

from exray.schema.layout import CHANNELS_FIRST, CHANNELS_LAST

from .onnx_file import OnnxFile, OnnxNode

_FIXES = (
    "Conv ConvInteger ConvTranspose QLinearConv FusedConv AveragePool MaxPool LpPool"
    " GlobalAveragePool GlobalMaxPool GlobalLpPool QLinearAveragePool QLinearGlobalAveragePool"
    " BatchNormalization InstanceNormalization LRN DepthToSpace SpaceToDepth GridSample"
    " GroupNormalization MaxUnpool"
)
"""Operators whose first input and output have channels first."""

_KEEPS = (
    "Abs Add BitShift Cast Ceil Celu Clip Concat CumSum DequantizeLinear Div Dropout Elu Erf"
    " Exp Floor Gelu HardSigmoid HardSwish Identity LeakyRelu Log Max Mean Min Mish Mul Neg PRelu"
    " Pad Pow QLinearAdd QLinearConcat QLinearLeakyRelu QLinearMul QLinearSigmoid"
    " QLinearSoftmax QuantizeLinear Reciprocal ReduceMax ReduceMean ReduceMin ReduceSum Relu"
    " Resize Round Selu Sigmoid Sign Slice Softmax Softplus Softsign Split Sqrt Sub Sum Tanh"
    " ThresholdedRelu Upsample Where"
)
"""Operators whose inputs and outputs of one rank share their layout."""

_FIXING, _KEEPING = frozenset(_FIXES.split()), frozenset(_KEEPS.split())

_FIRST, _LAST = "first", "last"


def layouts(file: OnnxFile) -> Mapping[str, str]:
    """Return the layout of every tensor that has channels and places, by name.

    Args:
        file: The graph.

    Returns:
        Values of `CHANNELS_FIRST` and `CHANNELS_LAST`; tensors of unknown meaning are not
        in it.
    """
    found: dict[str, str] = {}
    size = -1
    while size != len(found):  # along the graph and back, until nothing new is learnt
        size = len(found)
        for node in (*file.nodes, *reversed(file.nodes)):
            _learn(file, node, found)
    names = {_FIRST: CHANNELS_FIRST, _LAST: CHANNELS_LAST}
    return {name: names[side][file.tensor(name).rank] for name, side in found.items()}


def _learn(file: OnnxFile, node: OnnxNode, found: dict[str, str]) -> None:
    """Note what one operator says about its tensors; the first word on a tensor stands."""
    if node.op in _FIXING and not node.attributes.get("channels_last"):
        for name in (node.first, *node.outputs[:1]):
            _note(file, name, _FIRST, found)
    elif node.op == "Transpose":
        _learn_transpose(file, node, found)
    elif node.op in _KEEPING:
        named = [name for name in (*node.inputs, *node.outputs) if _has_places(file, name)]
        rank = max((file.tensor(name).rank for name in node.outputs), default=0)
        alike = [name for name in named if file.tensor(name).rank == rank]
        side = next((found[name] for name in alike if name in found), None)
        for name in alike if side else ():
            _note(file, name, str(side), found)


def _learn_transpose(file: OnnxFile, node: OnnxNode, found: dict[str, str]) -> None:
    source, target = node.first, node.outputs[0]
    for before, after in _changes(file, node):
        if found.get(source) == before or found.get(target) == after:
            _note(file, source, before, found)
            _note(file, target, after, found)


def _changes(file: OnnxFile, node: OnnxNode) -> list[tuple[str, str]]:
    """Return from where to where a Transpose would carry channels; none for any other."""
    rank = file.tensor(node.first).rank or file.tensor(node.outputs[0]).rank
    order = node.attributes.get("perm")
    changes: list[tuple[str, str]] = []
    if rank in CHANNELS_FIRST and order == [0, *range(2, rank), 1]:
        changes.append((_FIRST, _LAST))
    if rank in CHANNELS_FIRST and order == [0, rank - 1, *range(1, rank - 1)]:
        changes.append((_LAST, _FIRST))
    return changes


def is_layout_change(file: OnnxFile, node: OnnxNode, known: Mapping[str, str]) -> bool:
    """Tell whether a Transpose carries channels from one known layout to the other, no more."""
    if node.op != "Transpose" or not _changes(file, node):
        return False
    before, after = known.get(node.first), known.get(node.outputs[0])
    return before is not None and after is not None and before != after


def _has_places(file: OnnxFile, name: str) -> bool:
    is_constant = name in file.constant_bytes
    return bool(name) and not is_constant and file.tensor(name).rank in CHANNELS_FIRST


def _note(file: OnnxFile, name: str, side: str, found: dict[str, str]) -> None:
    if _has_places(file, name):
        found.setdefault(name, side)
