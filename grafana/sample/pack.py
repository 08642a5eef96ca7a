"""The canary pack: what the reference makes of each input, and an error for each layer."""

import numpy as np

from exray.schema.identity import input_key, sketch_family
from exray.schema.sketch import sketch

from .columns import Floats
from .fleet import Fleet

ELEMENTS = 64
"""Of each layer's output."""


class Pack:
    """The canary pack: what the reference makes of each input, and an error for each layer."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.names = [f"canary-{number:03}.png" for number in range(fleet.inputs)]
        self.keys = np.array([input_key(name) for name in self.names])
        self.families = [sketch_family(int(key)) for key in self.keys]
        random = np.random.default_rng(7)
        shape = (fleet.inputs, fleet.layers + 1, ELEMENTS)
        # the last "layer" is the model's input
        self.values = random.standard_normal(shape) * 2.0
        noise = random.standard_normal(shape)
        norm = np.linalg.norm(self.values, axis=2) / np.linalg.norm(noise, axis=2)
        self.noise = noise * norm[:, :, None]
        self.value_sketches = self._sketched(self.values)
        self.noise_sketches = self._sketched(self.noise)

    def _sketched(self, arrays: Floats) -> Floats:
        return np.array(
            [
                [sketch(array, family) for array in of_input]
                for of_input, family in zip(arrays, self.families, strict=True)
            ]
        )
