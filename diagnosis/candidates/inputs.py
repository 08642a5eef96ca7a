"""The recorded inputs behind frames of the lake, and how the reference declares to use them."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from exray.diagnosis.causes import Replay
from exray.playback.dataset import Item
from exray.playback.spec import PreprocessSpec, load_spec, spec_from_mapping
from exray.schema.errors import SpecError, UsageError
from exray.schema.identity import input_key
from exray.schema.keying import is_telling, keyed_id, secret_from_text

from .observed import ObservedFrame

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exray.queries.interrupt import Cursors
    from exray.queries.select import Selection


@dataclass(frozen=True, slots=True)
class Inputs:
    """Recorded inputs by the key that frames know them under."""

    items: "Mapping[int, Item]"

    @classmethod
    def open(cls, replay: Replay) -> "Inputs":
        """Find the recorded inputs that a diagnosis names.

        Raises:
            UsageError: There are none.
        """
        secret = _fleet_secret()
        items: dict[int, Item] = {}
        for item in replay.recorded():
            items[input_key(item.input_id)] = item
            if secret is not None and is_telling(item.input_id):
                items[input_key(keyed_id(item.input_id, secret))] = item
        return cls(items)

    def known(self, frames: Sequence[ObservedFrame]) -> list[ObservedFrame]:
        """Keep the frames whose input is here."""
        return [frame for frame in frames if frame.input_key in self.items]

    def load(self, frame: ObservedFrame) -> NDArray[Any]:
        """Return the recorded input of a frame.

        Raises:
            DataError: It cannot be read.
        """
        return self.items[frame.input_key].load()


def declared_spec(
    cursors: "Cursors", reference: "Selection", replay: Replay
) -> PreprocessSpec | None:
    """Return the preprocessing that the reference declares, None where it declares none.

    Raises:
        UsageError: The file that the user names cannot be used.
    """
    if replay.preprocess is None:
        return recorded_spec(cursors, reference.run_ids)
    try:
        return load_spec(replay.preprocess)
    except SpecError as error:
        raise UsageError(str(error)) from error


def recorded_spec(cursors: "Cursors", run_ids: Sequence[str]) -> PreprocessSpec | None:
    """Return what the newest of runs declared, None where that is nothing this exray can read."""
    with cursors.cursor() as cursor:
        cursor.execute(
            "SELECT max_by(preprocess_json, started_ns) FROM runs"
            " WHERE list_contains(?, hex_id(run_id))",
            [list(run_ids)],
        )
        row = cursor.fetchone()
    if row is None or row[0] is None:
        return None
    try:
        return spec_from_mapping(json.loads(row[0]), "the recorded preprocessing")
    except (SpecError, ValueError):
        return None  # a newer exray wrote it


def _fleet_secret() -> bytes | None:
    text = os.environ.get("EXRAY_FLEET_SECRET", "").strip()
    return secret_from_text(text) if text else None
