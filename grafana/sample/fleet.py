"""What a made-up fleet is made of, and what is wrong with it."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .columns import Floats

MODEL_NAME = "sorter"
REFERENCE_BUILD = "golden"
DEVICE_MODELS = ("pi5", "pixel8", "jetson")

WEEK_NS = 7 * 86_400 * 10**9
HOUR_NS = 3_600 * 10**9


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong with which builds, counted from 0, or from -1 for the newest; None: nothing.

    Args:
        quantization: At the eighth layer, `loss_db` of SQNR are lost on every device, and
            what follows inherits it; accuracy falls.
        slow: The fourth layer takes four times as long on the second device model.
        nonfinite: The sixth layer puts out NaN on the third device model.
        overhead: Recording takes 5 % of the time.
        silent: From this build on the first device says nothing.
        loss_db: What the eighth layer loses.
        wrong_ratio: Share of answers that its loss makes wrong.
    """

    quantization: int | None = -3
    slow: int | None = -1
    nonfinite: int | None = -2
    overhead: int | None = -2
    silent: int | None = -1
    loss_db: float = 12.0
    wrong_ratio: float = 0.1


@dataclass(frozen=True)
class Fleet:
    """What a made-up lake holds.

    Args:
        end_ns: When the newest build began, since 1970 UTC; its frames follow within an hour.
        devices: Devices, of three models in turn.
        builds: Builds, a week apart.
        builds_per_device: Builds that each device ran, the newest among them for the first.
        frames_per_run: Frames of one device under one build.
        layers: Layers of the network, at least 10.
        inputs: Inputs of the canary pack.
        measured_every: One frame of so many has its tensors summarised.
        device_models: Models of the devices, three in turn; empty where not known.
    """

    end_ns: int
    devices: int = 12
    builds: int = 8
    builds_per_device: int = 8
    frames_per_run: int = 8
    layers: int = 14
    inputs: int = 16
    measured_every: int = 2
    device_models: tuple[str, str, str] = DEVICE_MODELS
    faults: Faults = field(default_factory=Faults)

    @cached_property
    def build_names(self) -> list[str]:
        """Names of the builds, oldest first."""
        return [f"1.{number}.0" for number in range(self.builds)]

    @cached_property
    def layer_names(self) -> list[str]:
        """Names of the layers in the order of the network."""
        return [f"block_{number}/conv" for number in range(self.layers - 1)] + ["logits"]

    @cached_property
    def layer_ops(self) -> list[str]:
        """Operators of the layers."""
        kinds = ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD")
        return [kinds[i % 3] for i in range(self.layers - 1)] + ["FULLY_CONNECTED"]

    def has(self, fault: str, build: int) -> bool:
        """Whether *build*, counted from 0, has this fault."""
        number: int | None = getattr(self.faults, fault)
        return number is not None and number % self.builds == build

    def model_sha256(self, build: int | None) -> str:
        """Hash of a build's model; of the reference's for None."""
        text = f"{MODEL_NAME} {REFERENCE_BUILD if build is None else self.build_names[build]}"
        return hashlib.sha256(text.encode()).hexdigest()

    def sqnr_db(self, build: int) -> Floats:
        """Return the SQNR of each layer in *build*, shape (layers,), dB."""
        level = np.linspace(34.0, 26.0, self.layers)
        if self.has("quantization", build):
            level[7] -= self.faults.loss_db
            level[8:] -= 0.75 * self.faults.loss_db
        return level

    def started_ns(self, build: int | None) -> int:
        """When a build's first frames ran; the reference's, a week before all, for None."""
        number = -1 if build is None else build
        return self.end_ns - (self.builds - 1 - number) * WEEK_NS
