"""All receivers of a collector: the first in this process, the others beside it."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from .address import reserve
from .board import Board
from .memory import keep_what_is_freed, keep_what_is_loaded
from .receiver_process import ReceiverProcess, tasks
from .service import Collector, Shared, addresses_of
from .settings import Settings


class Receivers:
    """Takes requests in as many processes as the settings say, from `start` to `stop`.

    Args:
        settings: Of all together.
        on_step: See `Collector`; of the first alone.
        command: What starts another one; trials have their own.

    Raises:
        UsageError: Settings do not go together, an address is taken, a file is missing.
        LogError: The log is in use, or cannot be written.
    """

    def __init__(
        self,
        settings: Settings,
        on_step: Callable[[str], None],
        command: Sequence[str] | None = None,
    ) -> None:
        self.count = settings.receiver_count()
        self._others: list[ReceiverProcess] = []
        with ExitStack() as undo:
            if self.count == 1:
                self.first = Collector(settings, on_step=on_step)
            else:
                share = self._reserved(settings.share_of(self.count), undo)
                board = Board.new(self.count)
                undo.callback(board.close)
                self.first = Collector(share, on_step=on_step, shared=Shared(0, board))
                self._others = [
                    ReceiverProcess(task, command) for task in tasks(share, board, self.count)
                ]
            self._undo = undo.pop_all()

    @property
    def deaths(self) -> int:
        """Processes that ended unasked."""
        return sum(other.deaths for other in self._others)

    @property
    def pids(self) -> list[int]:
        """The processes beside this one."""
        return [other.pid for other in self._others]

    def start(self) -> None:
        """Take requests from now on, in all of them.

        Raises:
            LogError: One does not start.
        """
        keep_what_is_loaded()
        keep_what_is_freed()
        self.first.start()
        for other in self._others:
            other.start()
        for other in self._others:
            other.wait()

    def stop(self) -> None:
        """Take no more, bring what is under way to disk, close the logs."""
        for other in self._others:
            other.end()
        self.first.stop()
        for other in self._others:
            other.join()
        self._undo.close()

    def _reserved(self, settings: Settings, undo: ExitStack) -> Settings:
        """Take the addresses for all of them; return settings that name their ports."""
        taken: dict[str, str] = {}
        for name, address in addresses_of(settings).items():
            held, found = reserve(address, f"--{name}")
            undo.callback(held.close)
            taken[name] = str(found)
        return settings.model_copy(update=taken)
