"""What a diagnosis may look at: two compared sides, the lake behind them, files to replay."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from exray.diagnosis.comparison import Comparison
from exray.playback.dataset import Item, open_dataset

if TYPE_CHECKING:
    from exray.lake import Lake
    from exray.queries.interrupt import Cursors, WatchedCursors
    from exray.queries.select import Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Files with which the two sides can be run again; None where the user names none.

    Args:
        inputs: Folder or npz with the recorded inputs.
        edge_model: The edge's model file.
        reference_model: The reference's.
        preprocess: Declared preprocessing of the reference, YAML.
        held_out: Ids of inputs that must not be looked at: a repair is judged on them.
    """

    inputs: Path | None = None
    edge_model: Path | None = None
    reference_model: Path | None = None
    preprocess: Path | None = None
    held_out: frozenset[str] = frozenset()

    def recorded(self) -> list[Item]:
        """Return the recorded inputs that may be looked at, none where no *inputs* are named.

        Raises:
            UsageError: There is nothing of that kind.
        """
        if self.inputs is None:
            return []
        return [item for item in open_dataset(self.inputs) if item.input_id not in self.held_out]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What every finder sees.

    Args:
        lake: The lake that holds the runs.
        cursors: Queries against it, which Ctrl-C interrupts.
        known: The same for what concerns only the runs of *edge*, *reference* and
            *baseline_selection*: what many such questions begin with was worked out once.
        comparison: Edge against reference.
        edge: The edge's runs; its ``selector`` is what SQL macros take.
        reference: The reference's.
        baseline: The previous build against the same reference, None where none is named.
        baseline_selection: Its runs.
        replay: Files to run again.
    """

    lake: "Lake"
    cursors: "WatchedCursors"
    known: "Cursors"
    comparison: Comparison
    edge: "Selection"
    reference: "Selection"
    baseline: Comparison | None = None
    baseline_selection: "Selection | None" = None
    replay: Replay = Replay()
