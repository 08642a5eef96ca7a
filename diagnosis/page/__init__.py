"""The report: a comparison as one self-contained HTML page."""

from .content import Page
from .html import page_html
from .read import make_page, read_page

__all__ = ["Page", "make_page", "page_html", "read_page"]
