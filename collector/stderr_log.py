"""What a collector says goes to stderr, as text or as an object a line."""

import json
import logging
import sys
import time


class JsonFormatter(logging.Formatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return *record* as JSON."""
        shown = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            shown["exception"] = self.formatException(record.exc_info)
        return json.dumps(shown)


def log_to_stderr(log_format: str) -> None:
    """Have all of exray's messages printed, in ``text`` or ``json``."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(JsonFormatter() if log_format == "json" else text)
    package = logging.getLogger("exray")
    package.addHandler(handler)
    package.setLevel(logging.INFO)
    package.propagate = False
