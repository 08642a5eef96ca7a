"""The dashboards, built in Python and rendered for each data source."""

from exray.grafana.thresholds import Thresholds

from .board import Board, Column, Json, Link, Panel, Variable
from .build import build_board
from .compare import compare_board
from .fleet import fleet_board
from .frame import FRAME
from .latency import latency_board
from .layer import layer_board
from .model import model_board
from .render import BUILDS_SQL, dashboard_json
from .source import MOTHERDUCK, POSTGRES, SOURCES, Source
from .tensor import TENSOR


def boards(thresholds: Thresholds) -> tuple[Board, ...]:
    """Return all boards, from the widest view to the narrowest, coloured by *thresholds*."""
    return (
        fleet_board(thresholds),
        build_board(thresholds),
        model_board(thresholds),
        latency_board(thresholds),
        layer_board(thresholds),
        FRAME,
        TENSOR,
        compare_board(thresholds),
    )


BOARDS = boards(Thresholds())
"""Those with the colours that hold where no policy says otherwise."""

__all__ = [
    "BOARDS",
    "BUILDS_SQL",
    "MOTHERDUCK",
    "POSTGRES",
    "SOURCES",
    "Board",
    "Column",
    "Json",
    "Link",
    "Panel",
    "Source",
    "Variable",
    "boards",
    "dashboard_json",
]
