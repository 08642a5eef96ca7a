"""How the integers of an ONNX graph map to real values.

Quantized models come in two forms. In one, operators of their own (``QLinearConv``) take
and give integers, with scale and zero point among their inputs. In the other,
``QuantizeLinear`` and ``DequantizeLinear`` stand around float operators, and the runtime
makes one integer kernel of each such group: there the group's output is what its
QuantizeLinear gives, and the float values inside do not exist.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exray.schema.records import Quantization

from .onnx_file import OnnxFile, OnnxNode

_PARAMETERS: Mapping[str, tuple[int, int]] = {
    "QuantizeLinear": (1, 2),
    "QGemm": (7, 8),
    "QLinearConv": (6, 7),
    "QLinearMatMul": (6, 7),
    "QLinearAdd": (6, 7),
    "QLinearMul": (6, 7),
    "QLinearAveragePool": (3, 4),
    "QLinearGlobalAveragePool": (3, 4),
    "QLinearLeakyRelu": (3, 4),
    "QLinearReduceMean": (3, 4),
    "QLinearSigmoid": (3, 4),
    "QLinearSoftmax": (3, 4),
    "QLinearConcat": (0, 1),
}
"""Places of the output's scale and zero point among an operator's inputs."""

_KEEPS = (
    "DepthToSpace Dropout Expand Flatten Gather Identity MaxPool Pad Reshape Resize Slice"
    " SpaceToDepth Split Squeeze Tile Transpose Unsqueeze"
)
"""Operators whose output is quantized as their first input is."""

_KEEPING = frozenset(_KEEPS.split())

_CLAMPS: Mapping[str, str] = {"Relu": "RELU", "Clip": "CLIP"}
"""Activations that the runtime makes part of the integer kernel before them."""


def quantizations(file: OnnxFile) -> Mapping[str, Quantization]:
    """Return the quantization of every quantized tensor, by name."""
    found: dict[str, Quantization] = {}
    for node in file.nodes:
        places = _PARAMETERS.get(node.op)
        if places is not None and node.outputs:
            _note(file, node, node.outputs[0], places, found)
        elif node.op == "DequantizeLinear":
            _note(file, node, node.first, (1, 2), found)
        elif node.op in _KEEPING and node.first in found:
            source = found[node.first]
            for name in node.outputs if len(source.scales) == 1 else ():
                found.setdefault(name, source)
    return found


def _note(
    file: OnnxFile,
    node: OnnxNode,
    tensor: str,
    places: tuple[int, int],
    found: dict[str, Quantization],
) -> None:
    if len(node.inputs) <= places[0]:
        return
    scales = file.constants.get(node.inputs[places[0]])
    if scales is None or scales.ndim > 1 or not scales.size:
        return  # computed at run time, or for blocks of elements
    name = node.inputs[places[1]] if len(node.inputs) > places[1] else ""
    if name and name not in file.constants:
        return
    points = file.constants[name].reshape(-1).tolist() if name else [0] * scales.size
    axis = node.attributes.get("axis", 1)
    rank = file.tensor(tensor).rank
    place = (axis if axis >= 0 else axis + rank) if isinstance(axis, int) else 1
    values = tuple(float(scale) for scale in scales.reshape(-1))
    quantization = Quantization(values, tuple(map(int, points)), place if len(values) > 1 else 0)
    found.setdefault(tensor, quantization)


# --- groups -----------------------------------------------------------------------------


@dataclass(slots=True)
class Groups:
    """Operators that the runtime makes one integer kernel of.

    Args:
        output_of: The quantized tensor that a group's operator gives, by the operator's index.
        activation_of: The activation that is part of it, by the same.
        inside: Why an operator is no layer of its own, by its index.
    """

    output_of: dict[int, str] = field(default_factory=dict[int, str])
    activation_of: dict[int, str] = field(default_factory=dict[int, str])
    inside: dict[int, str] = field(default_factory=dict[int, str])


def groups(file: OnnxFile) -> Groups:
    """Find what stands between DequantizeLinear and QuantizeLinear."""
    found = Groups()
    reading: dict[str, list[OnnxNode]] = {}
    writer: dict[str, OnnxNode] = {}
    for node in file.nodes:
        for name in node.reads:
            reading.setdefault(name, []).append(node)
        writer |= dict.fromkeys(node.outputs, node)

    def before(name: str) -> OnnxNode | None:
        """Return what writes a tensor that nothing but its one reader sees."""
        is_seen = name in file.outputs or len(reading.get(name, ())) != 1
        return None if is_seen else writer.get(name)

    def reads_dequantized(node: OnnxNode) -> bool:
        given = [name for name in node.inputs if name and name not in file.constant_bytes]
        makers = [writer.get(name) for name in given]
        return bool(makers) and all(m is not None and m.op == "DequantizeLinear" for m in makers)

    for node in file.nodes:
        if node.op == "DequantizeLinear" and node.outputs[0] not in file.outputs:
            found.inside[node.index] = "dequantizes for the operators that follow"
        if node.op != "QuantizeLinear":
            continue
        clamp: OnnxNode | None = None
        head = before(node.first)
        if head is not None and head.op in _CLAMPS and not reads_dequantized(head):
            clamp, head = head, before(head.first)
        if head is None or len(head.outputs) != 1 or not reads_dequantized(head):
            continue
        found.output_of[head.index] = node.outputs[0]
        part = f"part of {head.op} {head.name or head.outputs[0]}"
        found.inside[node.index] = part
        if clamp is not None:
            found.activation_of[head.index] = _CLAMPS[clamp.op]
            found.inside[clamp.index] = part
    return found
