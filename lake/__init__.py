"""Tables in Parquet that many processes write and every engine reads."""

from .follow import LakeFollower
from .lake import Lake

__all__ = ["Lake", "LakeFollower"]
