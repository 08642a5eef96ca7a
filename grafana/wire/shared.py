"""What all sessions of a server have in common."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .database import LakeDatabase
    from .gate import Gate
    from .runner import Turns
    from .settings import Limits


@dataclass(frozen=True, slots=True)
class Shared:
    """The lake, and the rules by which it is shown."""

    database: "LakeDatabase"
    gate: "Gate"
    limits: "Limits"
    turns: "Turns"
