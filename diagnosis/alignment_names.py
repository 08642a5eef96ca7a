"""What the names of two models' layers say about each other.

TFLite joins the names of all that it fused with ``;``. The first part names the last of
the fused operators, whose output the tensor is. Later parts name what is inside the
fusion, or a layer elsewhere that shares a constant, so only whole sets of parts are
compared beyond the first.
"""

import re
from collections import Counter
from collections.abc import Sequence
from math import log

EXACT = 3.0
"""Score of equal tensor names; every overlap scores less."""

_SUFFIX = re.compile(r"(?:_u?int\d+|_float\d*|_requantized|_dequantized?|:\d+)+$")
"""What converters append to the name of a tensor that they convert or export."""

_ONE_SPELLING = {"relu6": "relu", "batchnorm": "bn", "batchnormalization": "bn"}
_MIN_SHARED = 0.5
"""Share of the parts' weight that two fusions must have in common."""


class Names:
    """The names of one model's layers, ready to compare.

    Args:
        names: One per layer.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.whole = [_SUFFIX.sub("", name) for name in names]
        self.parts = [[part for part in name.split(";") if part] for name in self.whole]
        self.first = [parts[0] if parts else "" for parts in self.parts]
        self.tokens = [_tokens(first) for first in self.first]
        self._holders = Counter(part for parts in self.parts for part in set(parts))

    def weight(self, part: str) -> float:
        """Weigh a part: what many layers carry says little."""
        return log((1 + len(self.whole)) / self._holders.get(part, 1))


def score(edge: Names, i: int, reference: Names, j: int) -> float:
    """Tell how well two layers' names agree.

    Args:
        edge: Names of the edge model.
        i: The edge layer's position.
        reference: Names of the reference model.
        j: The reference layer's position.

    Returns:
        `EXACT` for the same tensor name; in (1, 3) where one telling name contains the
        other, more for a longer one; in (0, 1) for fusions that share parts; else 0.
    """
    if edge.whole[i] and edge.whole[i] == reference.whole[j]:
        return EXACT
    if edge.first[i] and edge.first[i] == reference.first[j]:
        return 2.9
    contained = max(
        _containment(edge.tokens[i], reference.tokens[j]),
        _containment(reference.tokens[j], edge.tokens[i]),
    )
    return contained or _shared_weight(edge, i, reference, j)


def _tokens(name: str) -> tuple[str, ...]:
    """Split a name at everything that is no letter or digit.

    >>> _tokens("MobileNetV2/expanded_conv_1/depthwise/relu6/Relu6")
    ('mobilenetv2', 'expanded', 'conv', '1', 'depthwise', 'relu', 'relu')
    """
    tokens: list[str] = re.findall(r"[a-z0-9]+", name.lower())
    return tuple(_ONE_SPELLING.get(token) or token for token in tokens)


def _containment(long: tuple[str, ...], short: tuple[str, ...]) -> float:
    """Score how *short* stands in *long*, 0 if it does not.

    The longest name wins. A number after it makes it another layer's name (``conv2d`` in
    ``conv2d_1``), or one that the exporter counted up (``conv_pw_1`` in ``conv_pw_1_1``):
    that counts only between names of one length.
    """
    n = len(short)
    if not n or n > len(long):
        return 0.0
    best = 0.0
    for start in range(len(long) - n + 1):
        if long[start : start + n] == short:
            is_whole = start + n == len(long) or not long[start + n].isdecimal()
            best = max(best, 1 + n / (n + 1) + 1e-3 * is_whole)
    return best


def _shared_weight(edge: Names, i: int, reference: Names, j: int) -> float:
    """Return the weighted share of common parts of two fused names, in [0, 1)."""
    if len(edge.parts[i]) < 2 or len(reference.parts[j]) < 2:
        return 0.0
    ours, theirs = set(edge.parts[i]), set(reference.parts[j])
    weights = {p: min(edge.weight(p), reference.weight(p)) for p in ours | theirs}
    total = sum(weights.values())
    share = sum(weights[p] for p in ours & theirs) / total if total else 0.0
    return 0.99 * share if share >= _MIN_SHARED else 0.0
