"""The protocol, message by message, and as drivers speak it."""

import asyncio
import struct
from collections.abc import Generator

import asyncpg
import psycopg
import pytest

from .servers import PASSWORD, Connection, RawClient, Running, error_state

Messages = list[tuple[bytes, bytes]]


@pytest.fixture
def raw(wire: Running) -> Generator[RawClient]:
    with wire.logged_in() as client:
        yield client


def kinds(messages: Messages) -> str:
    return "".join(kind.decode() for kind, _ in messages)


def tags(messages: Messages) -> list[str]:
    return [body.rstrip(b"\0").decode() for kind, body in messages if kind == b"C"]


def parse(client: RawClient, text: str, name: str = "", *oids: int) -> None:
    types = struct.pack(f"!h{len(oids)}I", len(oids), *oids)
    client.send(b"P", name.encode() + b"\0" + text.encode() + b"\0" + types)


def bind(
    client: RawClient,
    *values: bytes | None,
    portal: str = "",
    statement: str = "",
    formats: tuple[int, ...] = (),
) -> None:
    body = portal.encode() + b"\0" + statement.encode() + b"\0" + struct.pack("!hh", 0, len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    client.send(b"B", body + struct.pack(f"!h{len(formats)}h", len(formats), *formats))


def execute(client: RawClient, portal: str = "", max_rows: int = 0) -> None:
    client.send(b"E", portal.encode() + b"\0" + struct.pack("!i", max_rows))


def sync(client: RawClient) -> Messages:
    client.send(b"S")
    return client.until_ready()


@pytest.mark.parametrize("text", ["-- ping", ";", "", "  \n", "/* nothing */ ;;"])
def test_a_statement_of_nothing_is_answered_as_such(raw: RawClient, text: str) -> None:
    assert kinds(raw.query(text)) == "IZ"
    parse(raw, text)
    bind(raw)
    raw.send(b"D", b"P\0")
    execute(raw)
    assert kinds(sync(raw)) == "12nIZ"


def test_a_simple_query_is_columns_rows_and_their_number(raw: RawClient) -> None:
    messages = raw.query("SELECT * FROM range(3)")
    assert kinds(messages) == "TDDDCZ"
    assert tags(messages) == ["SELECT 3"]


def test_an_error_leaves_the_connection_usable(raw: RawClient) -> None:
    assert error_state(raw.query("SELECT * FROM nowhere")) == "42P01"
    assert error_state(raw.query("SELEC 1")) == "42601"
    assert error_state(raw.query("SELECT error('late') FROM range(3)")) is not None
    assert kinds(raw.query("SELECT 1")) == "TDCZ"


def test_a_portal_is_read_in_parts(raw: RawClient) -> None:
    parse(raw, "SELECT * FROM range(5)")
    bind(raw)
    execute(raw, max_rows=2)
    execute(raw, max_rows=2)
    execute(raw, max_rows=2)
    execute(raw)
    messages = sync(raw)
    assert kinds(messages) == "12DDsDDsDCCZ"
    assert [body[-1:] for kind, body in messages if kind == b"D"] == [b"0", b"1", b"2", b"3", b"4"]


def test_portals_of_a_transaction_outlive_sync_and_end_with_it(raw: RawClient) -> None:
    raw.query("BEGIN")
    parse(raw, "SELECT * FROM range(4)", "s")
    bind(raw, portal="a", statement="s")
    bind(raw, portal="b", statement="s")
    execute(raw, "a", 1)
    assert kinds(sync(raw)) == "122DsZ"
    execute(raw, "b", 3)
    execute(raw, "a", 3)
    assert kinds(sync(raw)) == "DDDsDDDCZ"
    raw.query("COMMIT")
    execute(raw, "b")
    assert error_state(sync(raw)) == "34000"


def test_portals_outside_a_transaction_end_with_sync(raw: RawClient) -> None:
    parse(raw, "SELECT * FROM range(4)")
    bind(raw, portal="a")
    execute(raw, "a", 1)
    sync(raw)
    execute(raw, "a")
    assert error_state(sync(raw)) == "34000"


def test_after_an_error_messages_are_passed_over_until_sync(raw: RawClient) -> None:
    parse(raw, "SELECT * FROM nowhere")
    bind(raw)
    execute(raw)
    parse(raw, "SELECT 1")
    assert kinds(sync(raw)) == "12EZ"
    parse(raw, "SELECT 1")
    bind(raw)
    execute(raw)
    assert kinds(sync(raw)) == "12DCZ"


def test_a_statement_is_described_without_being_run(raw: RawClient) -> None:
    parse(raw, "SELECT $1::INTEGER AS a, error($2) AS b", "s", 0, 25)
    raw.send(b"D", b"Ss\0")
    messages = sync(raw)
    assert kinds(messages) == "1tTZ"
    assert struct.unpack("!hII", messages[1][1]) == (2, 23, 25)
    assert messages[2][1].startswith(struct.pack("!h", 2) + b"a\0")


def test_what_was_described_is_what_comes(raw: RawClient) -> None:
    parse(raw, "SELECT $1 AS a", "s", 23)
    raw.send(b"D", b"Ss\0")
    described = sync(raw)[2][1]
    bind(raw, b"7", statement="s")
    raw.send(b"D", b"P\0")
    execute(raw)
    messages = sync(raw)
    assert messages[1] == (b"T", described)
    assert messages[2] == (b"D", struct.pack("!hi", 1, 1) + b"7")


@pytest.mark.parametrize(
    ("message", "state"),
    [
        ((b"B", b"\0none\0" + bytes(6)), "26000"),
        ((b"D", b"Snone\0"), "26000"),
        ((b"D", b"Pnone\0"), "34000"),
        ((b"E", b"none\0" + bytes(4)), "34000"),
        ((b"B", b"\0\0" + struct.pack("!hhih", 0, 1, -1, 0)), "08P01"),
        ((b"B", b"\0\0" + struct.pack("!hhhh", 0, 0, 1, 7)), "08P01"),
    ],
)
def test_a_message_about_what_is_not_there_is_an_error(
    raw: RawClient, message: tuple[bytes, bytes], state: str
) -> None:
    parse(raw, "SELECT 1")
    sync(raw)
    raw.send(*message)
    execute(raw)
    assert error_state(sync(raw)) == state
    assert kinds(raw.query("SELECT 1")) == "TDCZ"


def test_names_are_taken_once_and_can_be_given_back(raw: RawClient) -> None:
    parse(raw, "SELECT 1", "s")
    parse(raw, "SELECT 2", "s")
    assert error_state(sync(raw)) == "42P05"
    raw.send(b"C", b"Ss\0")
    parse(raw, "SELECT 2", "s")
    assert kinds(sync(raw)) == "31Z"
    assert tags(raw.query("DEALLOCATE s")) == ["DEALLOCATE"]
    assert error_state(raw.query("DEALLOCATE s")) == "26000"


def test_a_failed_transaction_takes_nothing_but_its_end(raw: RawClient) -> None:
    assert raw.query("BEGIN")[-1] == (b"Z", b"T")
    assert raw.query("SELECT * FROM nowhere")[-1] == (b"Z", b"E")
    assert error_state(raw.query("SELECT 1")) == "25P02"
    messages = raw.query("COMMIT")
    assert (tags(messages), messages[-1][1]) == (["ROLLBACK"], b"I")


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("SET application_name = 'x'", "SET"),
        ("set extra_float_digits = 3", "SET"),
        ("SET client_encoding TO 'UTF8'", "SET"),
        ("SET TIME ZONE 'UTC'", "SET"),
        ("SET TimeZone = 'UTC'", "SET"),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SET"),
        ("SET statement_timeout = '5s'", "SET"),
        ("BEGIN READ ONLY", "BEGIN"),
        ("START TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION"),
        ("END", "COMMIT"),
        ("ABORT", "ROLLBACK"),
        ("DISCARD ALL", "DISCARD ALL"),
        ("DEALLOCATE ALL", "DEALLOCATE ALL"),
        ("RESET ALL", "RESET"),
        ("UNLISTEN *", "UNLISTEN"),
        ("SHOW TimeZone", "SHOW"),
        ("EXPLAIN SELECT 1", "EXPLAIN"),
    ],
)
def test_what_clients_say_unasked_is_answered(raw: RawClient, text: str, tag: str) -> None:
    messages = raw.query(text)
    assert error_state(messages) is None
    assert tags(messages) == [tag]


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("SET TimeZone = 'Europe/Berlin'", "22023"),
        ("SET client_encoding = 'LATIN1'", "22023"),
        ("SET statement_timeout = 'soon'", "22023"),
        ("SET TRANSACTION READ WRITE", "25006"),
        ("ROLLBACK TO SAVEPOINT a", "0A000"),
    ],
)
def test_a_setting_that_would_make_a_difference_is_refused(
    raw: RawClient, text: str, state: str
) -> None:
    assert error_state(raw.query(text)) == state


def test_a_client_may_shorten_its_timeout_and_not_lengthen_it(raw: RawClient) -> None:
    raw.query("SET statement_timeout = 50")
    assert error_state(raw.query("SELECT pg_sleep(600)")) == "57014"
    raw.query("RESET statement_timeout")
    assert error_state(raw.query("SELECT 1")) is None


def test_function_calls_are_refused_and_copy_data_passed_over(raw: RawClient) -> None:
    raw.send(b"F", bytes(8))
    assert error_state(raw.until_ready()) == "0A000"
    raw.send(b"d", b"data")
    raw.send(b"c")
    assert kinds(raw.query("SELECT 1")) == "TDCZ"


def test_an_unknown_message_ends_the_connection(raw: RawClient) -> None:
    raw.send(b"!", b"")
    assert error_state([raw.receive()]) == "08P01"
    with pytest.raises(EOFError):
        raw.receive()


def test_a_wide_or_too_wide_result(raw: RawClient) -> None:
    def columns(count: int) -> str:
        return ", ".join(f"{i} AS c{i}" for i in range(count))

    assert kinds(raw.query(f"SELECT {columns(1664)}")) == "TDCZ"
    assert error_state(raw.query(f"SELECT {columns(1665)}")) == "54011"


def test_psycopg_prepares_pipelines_and_rolls_back(wire: Running) -> None:
    with psycopg.connect(wire.conninfo, prepare_threshold=0) as connection:
        with connection.pipeline():
            cursors = [connection.execute("SELECT %s::INTEGER", [i]) for i in range(20)]
            assert [cursor.fetchone() for cursor in cursors] == [(i,) for i in range(20)]
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM nowhere")
        connection.rollback()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_asyncpg_pools_reads_cursors_and_resets(wire: Running) -> None:
    async def ask() -> tuple[int, list[int]]:
        async with asyncpg.create_pool(
            host=wire.address.host,
            port=wire.address.port,
            user="u",
            database="d",
            password=PASSWORD,
            min_size=1,
            max_size=2,
        ) as pool:
            count = await pool.fetchval("SELECT count(*) FROM range($1::BIGINT)", 7)
            async with pool.acquire() as connection, connection.transaction(readonly=True):
                cursor = connection.cursor("SELECT * FROM range(300)", prefetch=100)
                return count, [row[0] async for row in cursor]

    assert asyncio.run(ask()) == (7, list(range(300)))


def test_settings_are_told_at_the_start(connection: Connection) -> None:
    info = connection.info
    assert info.parameter_status("TimeZone") == "UTC"
    assert info.parameter_status("server_encoding") == "UTF8"
    assert info.server_version == 160004
