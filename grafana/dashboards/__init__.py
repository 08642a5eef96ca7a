"""The dashboards, built in Python and rendered for each data source."""

from .board import Board, Column, Json, Link, Panel, Variable
from .build import BUILD
from .compare import COMPARE
from .fleet import FLEET
from .frame import FRAME
from .latency import LATENCY
from .layer import LAYER_BOARD
from .model import MODEL_BOARD
from .render import BUILDS_SQL, dashboard_json
from .source import MOTHERDUCK, POSTGRES, SOURCES, Source
from .tensor import TENSOR

BOARDS = (FLEET, BUILD, MODEL_BOARD, LATENCY, LAYER_BOARD, FRAME, TENSOR, COMPARE)
"""All boards, from the widest view to the narrowest."""

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
    "dashboard_json",
]
