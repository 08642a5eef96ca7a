"""How real numbers are stored in the edge's tensor: as declared, and as type mistakes do it.

Unlike colours and scales these are not linear, so each needs the pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.playback.image import quantize
from exray.schema.quantization import dequantize

from .observed import Seen
from .render import Pixels
from .values import Channels, Values

Reals = NDArray[Any]

DECLARED = "as declared"
"""Name of the storage without a mistake."""


@dataclass(frozen=True, slots=True)
class Storage:
    """A way to store a model input.

    Args:
        name: How it reads.
        store: From pixels 0..255 in the channels' order, their values and the input to the
            real values that the model sees, shape as the pixels.
    """

    name: str
    store: Callable[[Pixels, Values, Seen], Reals]


def mixed(pixels: Pixels, channels: Channels) -> Pixels:
    """Return pixels with their colours in the channels' order, shape (h, w, channels)."""
    return pixels @ channels.mixture.T.astype(np.float32)


def storages(seen: Seen) -> list[Storage]:
    """Return the ways to store into an input of this type, the declared one first."""
    known = [
        Storage(DECLARED, _declared),
        Storage("bytes read as signed", _signed),
        Storage("values cut to whole numbers", _cut),
    ]
    if seen.dtype.kind == "f":
        return [*known, Storage("values cast to unsigned bytes", _unsigned)]
    if seen.quantization is None:
        return known
    known.append(Storage("values stored without the input's scale", _unscaled))
    if seen.dtype == np.int8:
        known.append(Storage("bytes stored as they are in signed integers", _reinterpreted))
        known.append(Storage("bytes clamped into signed integers", _clamped_bytes))
    return known


def _real(pixels: Pixels, values: Values) -> Pixels:
    gain, offset = values.gain.astype(np.float32), values.offset.astype(np.float32)
    return pixels * gain + offset


def _through(real: Pixels, seen: Seen) -> Reals:
    if seen.dtype.kind not in "iu":
        return real
    return dequantize(quantize(real, seen.quantization, seen.dtype), seen.quantization)


def _declared(pixels: Pixels, values: Values, seen: Seen) -> Reals:
    return _through(_real(pixels, values), seen)


def _signed(pixels: Pixels, values: Values, seen: Seen) -> Reals:
    signed = np.where(np.rint(pixels) >= 128, pixels - 256, pixels).astype(np.float32)
    return _through(_real(signed, values), seen)


def _cut(pixels: Pixels, values: Values, seen: Seen) -> Reals:
    return _through(np.trunc(_real(pixels, values)), seen)


def _unsigned(pixels: Pixels, values: Values, seen: Seen) -> Reals:
    whole = np.trunc(_real(pixels, values)).astype(np.int64)
    return whole.astype(np.uint8).astype(np.float32)


def _unscaled(pixels: Pixels, values: Values, seen: Seen) -> Reals:
    return dequantize(quantize(_real(pixels, values), None, seen.dtype), seen.quantization)


def _reinterpreted(pixels: Pixels, values: Values, seen: Seen) -> Reals:
    stored = np.clip(np.rint(pixels), 0, 255).astype(np.uint8).view(np.int8)
    return dequantize(stored, seen.quantization)


def _clamped_bytes(pixels: Pixels, values: Values, seen: Seen) -> Reals:
    stored = np.clip(np.rint(pixels), -128, 127).astype(np.int8)
    return dequantize(stored, seen.quantization)
