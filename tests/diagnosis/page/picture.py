"""Take the README's picture: the upper part of the demo's report.

Usage: ``python -m tests.diagnosis.page.picture docs/report.png``; run by ``make picture``.
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from rich.console import Console

from exray.diagnosis.demo import REPORT, run_demo

from .browser import missing, start_browser

WIDTH_PX = 1120
COLOURS = 48
"""Colours of the picture: the page has few, and fewer make a small file."""

LAST = "[data-chart=time]"
"""The last of the page that is in the picture."""


def main(target: Path) -> None:
    """Run the demo, open its report, and keep what a reader sees first."""
    if missing():
        sys.exit(f"{missing()}: apt-get install chromium chromium-driver")
    with tempfile.TemporaryDirectory() as work:
        run_demo(Path(work, "demo"), Console(file=io.StringIO()))
        with start_browser(Path(work, "profile")) as browser:
            browser.open(Path(work, "demo", REPORT), width=WIDTH_PX)
            end: float = browser.run(
                f"return document.querySelector('{LAST}').getBoundingClientRect().bottom"
            )
            shot = Image.open(io.BytesIO(browser.picture())).convert("RGB")
    kept = shot.crop((0, 0, shot.width, round(end) + 12))
    kept.quantize(COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)
    print(f"{target}: {kept.width} x {kept.height}, {target.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
