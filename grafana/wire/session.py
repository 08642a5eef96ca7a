"""One client that is let in: its messages, and how far each is answered."""

import logging
from functools import partial
from typing import TYPE_CHECKING

from . import frontend, messages
from .errors import (
    FAILED_TRANSACTION,
    FEATURE_NOT_SUPPORTED,
    INTERNAL_ERROR,
    PROTOCOL_VIOLATION,
    UNDEFINED_STATEMENT,
    WireError,
    wire_error,
)
from .execution import Execution, Piece, Request, describe
from .gate import SELECT
from .plans import Empty, Plan, Query, Utilities, admitted, plan
from .prepared import Portal, Prepared, Statement
from .runner import CANCELED, GONE, Runner

if TYPE_CHECKING:
    from .client import Client
    from .shared import Shared
    from .utilities import Utility

_log = logging.getLogger(__name__)

_IDLE = "I"
_IN_TRANSACTION = "T"
_FAILED = "E"

_COPY_MESSAGES = (b"d", b"c", b"f")
"""Of a COPY that was refused: PostgreSQL passes them over, too."""


class Session:
    """Answers one client, message by message, until it leaves.

    Args:
        client: Who is let in.
        shared: What it shares with others.
    """

    def __init__(self, client: "Client", shared: "Shared") -> None:
        self._client = client
        self._shared = shared
        self._runner = Runner(shared.turns)
        self._timeout_s = shared.limits.statement_timeout_s
        self._status = _IDLE
        self._prepared = Prepared(shared.limits)
        self._is_skipping = False
        client.reader.on_end = partial(self._runner.stop, GONE)

    def stop(self, why: str = CANCELED) -> None:
        """End what the client is waiting for, if anything."""
        self._runner.stop(why)

    async def serve(self) -> None:
        """Answer messages until the client leaves.

        Raises:
            WireError: What the connection ends with.
            asyncio.IncompleteReadError: The client is gone.
        """
        limit = self._shared.limits.message_bytes
        try:
            await self._ready()
            while True:
                kind, body = await frontend.read_message(self._client.reader, limit)
                if kind == b"X":
                    return
                if kind == b"Q":
                    await self._simple(body)
                elif kind == b"S":
                    await self._sync()
                elif kind == b"H":
                    await self._client.flush()
                else:
                    await self._extended(kind, body)
        finally:
            await self._give_up(self._prepared.drop_portals())

    async def _simple(self, body: bytes) -> None:
        """Answer a statement that is a message of its own."""
        self._is_skipping = False
        try:
            wanted = plan(frontend.query_text(body))
            self._check_transaction(wanted)
            await self._give_up(self._prepared.drop_portal(""))
            if isinstance(wanted, Query):
                await self._query(wanted)
            else:
                await self._answer(wanted)
        except Exception as error:  # noqa: BLE001  the client is told, whatever it is
            self._fail(error)
        await self._ready()

    async def _query(self, query: Query) -> None:
        """Run a statement and send all that it returns."""
        execution = Execution(self._shared.database)
        async with self._runner.turn(self._timeout_s):
            try:
                checked, piece = await self._runner.run(
                    execution, partial(self._begin, execution, query)
                )
                if isinstance(checked, Empty):
                    self._client.write(messages.EMPTY_QUERY)
                    return
                self._client.write(messages.row_description(execution.fields))
                rows = await self._send(execution, piece)
                self._client.write(messages.command_complete(_tag(checked, rows)))
            finally:
                await self._give_up([execution])

    def _begin(self, execution: Execution, query: Query) -> tuple[Query | Empty, Piece]:
        """Check and start a statement and read its first rows, all in one thread's turn."""
        checked = admitted(query, self._shared.gate, self._shared.database)
        if isinstance(checked, Empty):
            return checked, Piece(b"", 0, is_last=True)
        if checked.oids:
            msg = f"there is no parameter ${len(checked.oids)}: a simple query has none"
            raise WireError("42P02", msg)
        return checked, _open_and_read(execution, Request(checked.text))

    async def _send(self, execution: Execution, piece: Piece, max_rows: int = 0) -> int:
        """Send *piece* and what follows it, up to *max_rows*; return the number of rows."""
        self._client.write(piece.data)
        rows = piece.rows
        while not piece.is_last and not 0 < max_rows <= rows:
            await self._runner.send(self._client.flush)
            piece = await self._runner.run(
                execution, partial(execution.read, max_rows - rows if max_rows else 0)
            )
            self._client.write(piece.data)
            rows += piece.rows
        return rows

    async def _extended(self, kind: bytes, body: bytes) -> None:
        """Answer a message of the extended protocol; after an error, none until Sync."""
        if self._is_skipping or kind in _COPY_MESSAGES:
            return
        try:
            if kind == b"P":
                await self._parse(frontend.parse_message(body))
            elif kind == b"B":
                await self._bind(frontend.bind_message(body))
            elif kind == b"D":
                await self._describe(frontend.named_message(body))
            elif kind == b"E":
                await self._execute(frontend.execute_message(body))
            elif kind == b"C":
                await self._close(frontend.named_message(body))
            elif kind == b"F":
                msg = "function calls are not supported; call the function in a SELECT"
                self._fail(WireError(FEATURE_NOT_SUPPORTED, msg))
                await self._ready()
            else:
                msg = f"unknown message type {kind!r}"
                raise WireError(PROTOCOL_VIOLATION, msg, is_fatal=True)
        except Exception as error:  # noqa: BLE001  the client is told, whatever it is
            self._fail(error)
            self._is_skipping = True

    async def _sync(self) -> None:
        self._is_skipping = False
        if self._status == _IDLE:
            await self._give_up(self._prepared.drop_portals())
        await self._ready()

    async def _parse(self, parse: frontend.Parse) -> None:
        wanted = plan(parse.text)
        self._check_transaction(wanted)
        if isinstance(wanted, Query):
            gate = self._shared.gate
            judge = partial(admitted, wanted, gate, self._shared.database, parse.oids)
            is_known = gate.has_judged(wanted.text)
            wanted = judge() if is_known else await self._runner.quickly(judge)
        self._prepared.add_statement(parse.name, Statement(wanted))
        self._client.write(messages.PARSE_COMPLETE)

    async def _bind(self, bind: frontend.Bind) -> None:
        statement = self._prepared.statement(bind.statement)
        self._check_transaction(statement.plan)
        await self._give_up(self._prepared.drop_portal("") if not bind.portal else [])
        self._prepared.add_portal(bind.portal, statement.bound(bind))
        self._client.write(messages.BIND_COMPLETE)

    async def _describe(self, named: frontend.Named) -> None:
        if named.kind == "P":
            portal = self._prepared.portal(named.name)
            if isinstance(portal.plan, Query):
                execution = await self._opened(portal)
                self._client.write(messages.row_description(execution.fields))
                return
        else:
            statement = self._prepared.statement(named.name)
            self._client.write(messages.parameter_description(statement.oids))
            if isinstance(statement.plan, Query):
                await self._describe_statement(statement)
                self._client.write(messages.row_description(statement.fields))
                return
        self._client.write(messages.NO_DATA)

    async def _describe_statement(self, statement: Statement) -> None:
        """Find out a statement's columns, its parameters being NULL."""
        if statement.types is None and isinstance(statement.plan, Query):
            nulls = {str(i): None for i in range(1, len(statement.oids) + 1)}
            statement.fields, statement.types = await self._runner.quickly(
                partial(describe, self._shared.database, statement.plan.text, nulls)
            )

    async def _opened(self, portal: Portal) -> Execution:
        """Return a portal's statement as it runs, started unless it has been."""
        if portal.execution is None:
            portal.execution = Execution(self._shared.database)
            async with self._runner.turn(self._timeout_s):
                await self._runner.run(
                    portal.execution, partial(portal.execution.open, portal.request)
                )
        return portal.execution

    async def _execute(self, execute: frontend.Execute) -> None:
        portal = self._prepared.portal(execute.portal)
        self._check_transaction(portal.plan)
        if not isinstance(portal.plan, Query):
            await self._answer(portal.plan)
            return
        rows = 0
        if portal.execution is None:
            execution = portal.execution = Execution(self._shared.database)
            begin = partial(_open_and_read, execution, portal.request, execute.max_rows)
        else:
            execution = portal.execution
            begin = partial(execution.read, execute.max_rows)
        first = execution.first(execute.max_rows)
        if first is not None and first.is_last:  # it was described, and there is no more to it
            self._client.write(first.data)
            rows = first.rows
        elif not execution.is_closed:
            async with self._runner.turn(self._timeout_s):
                piece = await self._runner.run(execution, begin) if first is None else first
                rows = await self._send(execution, piece, execute.max_rows)
        if execution.is_closed:
            self._client.write(messages.command_complete(_tag(portal.plan, rows)))
        else:
            self._client.write(messages.PORTAL_SUSPENDED)

    async def _close(self, named: frontend.Named) -> None:
        if named.kind == "S":
            self._prepared.drop_statement(named.name)
        else:
            await self._give_up(self._prepared.drop_portal(named.name))
        self._client.write(messages.CLOSE_COMPLETE)

    async def _answer(self, wanted: Empty | Utilities) -> None:
        """Answer what needs no database."""
        if isinstance(wanted, Empty):
            self._client.write(messages.EMPTY_QUERY)
            return
        for item in wanted.items:
            self._client.write(messages.command_complete(await self._apply(item)))

    async def _apply(self, item: "Utility") -> str:
        """Do what a statement asks of the session; return the tag of its end."""
        if item.action == "begin":
            self._status = _IN_TRANSACTION
        elif item.action in ("commit", "rollback"):
            has_failed, self._status = self._status == _FAILED, _IDLE
            await self._give_up(self._prepared.drop_portals())
            return "ROLLBACK" if has_failed else item.tag
        elif item.action == "timeout":
            most = self._shared.limits.statement_timeout_s
            self._timeout_s = min(most, int(item.argument) / 1000 or most)
        elif item.action == "deallocate":
            if not item.argument:
                self._prepared.drop_statements()
            elif not self._prepared.drop_statement(item.argument):
                msg = f"there is no prepared statement {item.argument!r}"
                raise WireError(UNDEFINED_STATEMENT, msg)
        return item.tag

    async def _give_up(self, executions: list[Execution]) -> None:
        """Close what is still open of *executions*."""
        for execution in executions:
            if not execution.is_closed:
                await self._runner.quickly(execution.close)

    def _check_transaction(self, wanted: Plan) -> None:
        ends = isinstance(wanted, Utilities) and all(
            item.action in ("commit", "rollback") for item in wanted.items
        )
        if self._status == _FAILED and not ends and not isinstance(wanted, Empty):
            msg = "the transaction has failed; commands are ignored until ROLLBACK"
            raise WireError(FAILED_TRANSACTION, msg)

    def _fail(self, error: Exception) -> None:
        """Tell the client of *error*.

        Raises:
            WireError: The connection ends with it.
        """
        told = wire_error(error)
        if told.state == INTERNAL_ERROR:
            _log.error("a statement failed inside the server", exc_info=error)
        if told.is_fatal or isinstance(error, ConnectionError):
            raise told
        self._client.write(messages.error_response(told.state, str(told)))
        if self._status == _IN_TRANSACTION:
            self._status = _FAILED

    async def _ready(self) -> None:
        self._client.write(messages.ready(self._status))
        await self._client.flush()


def _open_and_read(execution: Execution, request: Request, max_rows: int = 0) -> Piece:
    execution.open(request)
    return execution.read(max_rows)


def _tag(query: Query, rows: int) -> str:
    return f"{SELECT} {rows}" if query.tag == SELECT else query.tag
