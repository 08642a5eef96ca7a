"""What is kept of each tensor: the answer to a level, a selection of layers, a role."""

from dataclasses import dataclass, replace

from exray.schema.records import LayerSite, TensorSite

from .level import Level
from .selection import EVERY_LAYER, LayerSelection


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is kept of the tensors of one frame.

    Args:
        level: Level of the frame.
        layers: Which layers are kept at which level.
    """

    level: Level = Level.SUMMARY
    layers: LayerSelection = EVERY_LAYER

    def at(self, level: Level) -> "Keeping":
        """Return the same for frames of another level."""
        return self if level == self.level else replace(self, level=level)

    @property
    def has_layers(self) -> bool:
        """Whether any layer can be summarised."""
        return self.level >= Level.SUMMARY and self.layers.selects_any

    @property
    def needs_arrays(self) -> bool:
        """Whether more than a summary is kept of any layer."""
        return self.level >= Level.SUMMARY and self.layers.highest(self.level) > Level.SUMMARY

    def takes_layer(self, layer: LayerSite) -> bool:
        """Tell whether a layer's outputs are summarised; else they need not be read."""
        return self.layers.level_of(layer, self.level) >= Level.SUMMARY

    def level_of(self, site: TensorSite) -> Level:
        """Return the level at which a tensor is kept; below summary it is not."""
        if site.layer is None:
            return self.level
        return self.layers.level_of(site.layer, self.level)
