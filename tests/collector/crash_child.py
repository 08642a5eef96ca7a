"""A collector, its drain, or its second receiver, that kills itself at a named step. Run by `crash`.

The file that ``EXRAY_DIE_FILE`` names says where: ``STEP N``, the Nth time from now on. Who
dies removes it first, so that it dies once. ``EXRAY_TRIAL_SETTINGS`` holds settings in JSON.
"""

import json
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from exray.collector import child, drain_process, receiver_process
from exray.collector.run import serve
from exray.collector.settings import Settings


def dying(file: Path) -> Callable[[str], None]:
    """Return what is called at each step."""
    seen: Counter[str] = Counter()

    def step(name: str) -> None:
        try:
            wanted, number = file.read_text().split()
        except (FileNotFoundError, ValueError):
            return
        if name.startswith(wanted):
            seen[wanted] += 1
            if seen[wanted] >= int(number):
                file.unlink(missing_ok=True)
                os.kill(os.getpid(), signal.SIGKILL)

    return step


def main() -> int:
    step = dying(Path(os.environ["EXRAY_DIE_FILE"]))
    role, *arguments = sys.argv[1:]
    if role == "drain":
        return drain_process.main(arguments, step)
    if role == "receiver":
        return receiver_process.main(step)
    wal, lake, ready = arguments
    child.RESTART_S = (0.1,)
    serve(
        Settings.model_validate(
            {"wal": wal, "lake": lake, "grpc": ANYWHERE, "http": ANYWHERE, "self_metrics_s": 0}
            | json.loads(os.environ["EXRAY_TRIAL_SETTINGS"])
        ),
        lambda text: _tell(Path(ready), " ".join(re.findall(r"127\.0\.0\.1:\d+", text))),
        on_step=step,
        drain_command=(sys.executable, __file__, "drain"),
        receiver_command=(sys.executable, __file__, "receiver"),
    )
    return 0


ANYWHERE = "127.0.0.1:0"


def _tell(ready: Path, address: str) -> None:
    scratch = ready.with_suffix(".new")
    scratch.write_text(address)
    scratch.replace(ready)


if __name__ == "__main__":
    sys.exit(main())
