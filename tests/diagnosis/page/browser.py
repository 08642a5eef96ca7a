"""A headless Chromium that keeps a record of what a page asks for and complains of."""

import json
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
"""Where Debian's packages chromium and chromium-driver put them."""

DRAWN_S = 60.0
"""Seconds within which a page's charts are drawn, on a machine with much else to do."""

FLAGS = (
    "--headless",
    "--no-sandbox",  # CI runs as root, where the sandbox does not start
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def missing() -> str:
    """Return what a browser's test lacks here, empty for nothing."""
    absent = [path for path in (CHROMIUM, DRIVER) if shutil.which(path) is None]
    return f"{' and '.join(absent)} not installed" if absent else ""


class Browser:
    """One browser for many pages.

    Args:
        driver: Selenium's.
    """

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def open(
        self, page: Path, *, width: int = 1280, scheme: str = "light", is_phone: bool = False
    ) -> None:
        """Show a page, and wait until its charts are drawn."""
        scale = 2 if is_phone else 1
        size = {"width": width, "height": 900, "deviceScaleFactor": scale, "mobile": is_phone}
        self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        self.complaints()  # those of the page before
        self._driver.get(page.resolve().as_uri())
        end = time.monotonic() + DRAWN_S
        while not self.run("return document.body.dataset.drawn === 'yes'"):
            assert time.monotonic() < end, f"not drawn in {DRAWN_S:.0f} s: {self.complaints()}"
            time.sleep(0.02)

    def run(self, script: str, *arguments: object) -> Any:
        """Return what a script on the page returns."""
        return self._driver.execute_script(script, *arguments)

    def point_at(self, element: str, *, click: bool = False) -> None:
        """Move the mouse to an element that an expression on the page gives; maybe click."""
        x, y = self.run(
            f"const element = {element}; element.scrollIntoView({{block: 'center'}});"
            "const box = element.getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]"
        )
        kinds = ["mouseMoved", *(("mousePressed", "mouseReleased") if click else ())]
        for kind in kinds:
            button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            event = {"type": kind, "x": x, "y": y, **button}
            self._driver.execute_cdp_cmd("Input.dispatchMouseEvent", event)

    def complaints(self) -> list[str]:
        """Return what the console says since this was last asked."""
        return [str(entry["message"]) for entry in self._driver.get_log("browser")]

    def requests(self) -> set[str]:
        """Return the addresses asked for since this was last asked, but for the browser's own."""
        events = [json.loads(entry["message"])["message"] for entry in self._log()]
        asked = {
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        }
        return {url for url in asked if not url.startswith(("chrome:", "data:"))}

    def picture(self) -> bytes:
        """Return the whole page as PNG."""
        from base64 import b64decode

        shot = self._driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"captureBeyondViewport": True, "format": "png"}
        )
        return b64decode(shot["data"])

    def _log(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self._driver.get_log("performance")
        return entries


@contextmanager
def start_browser(profile: Path) -> Generator[Browser]:
    """Start a browser that ends with the block.

    Args:
        profile: A new folder, for its files.
    """
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, Service(DRIVER))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
