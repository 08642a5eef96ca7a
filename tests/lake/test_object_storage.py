"""A lake in a bucket holds what one in a folder does; stores that would lose it are refused."""

import threading
from collections.abc import Generator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exray.exporters.lake import LakeExporter
from exray.lake import Lake, LakeFollower
from exray.lake.object_storage import explained, url_of
from exray.queries.engine import connect
from exray.schema.errors import LakeError, LakeUnreachableError

from .buckets import BUCKET, SECRET, careless, environment, store
from .builders import LATE_NS, make_set, make_table
from .ports import free_port


@pytest.fixture(scope="module")
def endpoint() -> Generator[str]:
    with store() as address:
        yield address


@pytest.fixture
def url(endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A place of the test's own in the bucket, reached as an application would."""
    reach(endpoint, monkeypatch)
    return f"s3://{BUCKET}/{request.node.name}"


def reach(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(endpoint).items():
        monkeypatch.setenv(name, value)


def count(lake: Lake, table: str) -> int:
    return sum(pq.ParquetFile(lake.source(path)).metadata.num_rows for path in lake.files(table))


def test_what_was_committed_is_there_once(url: str) -> None:
    lake = Lake.open_or_create(url)
    for number in (1, 2, 2):
        rows = {"spans": make_table("spans", 2), "frames": make_table("frames", 3)}
        lake.commit(rows, writer="w", sequence=number)

    again = Lake.open(Path(url))  # which is "s3:/..."

    assert [count(again, name) for name in ("spans", "frames", "runs")] == [4, 6, 0]
    assert all(path.startswith(f"{url}/frames/role=edge/") for path in again.files("frames"))


def test_writers_at_once_lose_nothing(url: str) -> None:
    lake = Lake.open_or_create(url)

    def write(writer: str) -> None:
        for number in range(3):
            lake.commit({"spans": make_table("spans", 2)}, writer=writer, sequence=number)

    threads = [threading.Thread(target=write, args=(f"w{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert count(lake, "spans") == 3 * 3 * 2


def test_a_compaction_leaves_each_row_once(url: str) -> None:
    lake = Lake.open_or_create(url)
    for number in (1, 2):
        lake.commit({"frames": make_set(7)["frames"]}, writer=f"w{number}", sequence=0)

    done = [lake.compact(state) for state in lake.partitions() if state.small]

    assert sum(one.repeated_rows for one in done) > 0
    assert len(lake.files("frames")) == 1
    assert count(lake, "frames") == 3


def test_a_row_of_two_dates_stays_under_the_first_and_old_objects_go(url: str) -> None:
    lake = Lake.open_or_create(url)
    for dt in ("2026-02-01", "2026-02-09"):
        lake.append({"spans": make_table("spans", dt=dt)})

    for state in lake.partitions():
        lake.compact(state)

    assert count(lake, "spans") == 1
    assert lake.remove_unused(24) == 0
    assert lake.remove_unused(0) == 2
    assert count(lake, "spans") == 1


def test_a_follower_sees_commits(url: str) -> None:
    lake = Lake.open_or_create(url)
    follower = LakeFollower(lake)
    follower.changed_files()
    assert follower.changed_files() == {}
    lake.commit({"spans": make_table("spans")}, writer="w", sequence=0)
    assert list(follower.changed_files()) == ["spans"]


def test_queries_read_it_partition_values_that_need_escapes_too(url: str) -> None:
    lake = Lake.open_or_create(url)
    lake.commit({"frames": make_table("frames", role="a b/c")}, writer="w", sequence=0)
    with connect(lake) as connection:
        found = connection.execute("SELECT role, start_ns FROM frames").fetchall()
    assert found == [("a b/c", LATE_NS)]


def test_a_store_that_overwrites_is_refused(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with careless(endpoint) as other:
        reach(other, monkeypatch)
        with pytest.raises(LakeError, match=r"it overwrites where it is told not to"):
            Lake.open_or_create(f"s3://{BUCKET}/careless")


def test_what_is_no_lake_is_said(url: str, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LakeError, match=r"is not a lake: it has no 'exray-lake.json'"):
        Lake.open(url)
    with pytest.raises(LakeError, match=r"there is no bucket 'nowhere'"):
        Lake.open_or_create("s3://nowhere/lake")


def test_a_store_that_is_away_is_told_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    reach(f"127.0.0.1:{free_port()}", monkeypatch)
    with pytest.raises(LakeUnreachableError, match="AWS_ENDPOINT_URL") as raised:
        Lake.open(f"s3://{BUCKET}/lake")
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("403 Forbidden: <Code>AccessDenied</Code>", "may not be used with the credentials"),
        ("error sending request for http://169.254.169.254/latest", "has no credentials"),
    ],
)
def test_missing_rights_are_said_with_what_to_set(told: str, said: str) -> None:
    error = explained(OSError(told), "s3://b-1/x")
    assert said in str(error) and "AWS_ACCESS_KEY_ID" in str(error)
    assert not isinstance(error, LakeUnreachableError), "trying again does not help"


@pytest.mark.parametrize("path", ["s3://", "s3://B/x", "s3://bucket/a b", "s3://bucket/a%20b"])
def test_a_url_that_engines_read_differently_is_refused(path: str) -> None:
    with pytest.raises(LakeError, match="expected s3://BUCKET/PREFIX"):
        url_of(path)


def test_whole_tensors_want_a_folder(url: str) -> None:
    with pytest.raises(LakeError, match="needs a lake in a folder of this machine"):
        LakeExporter(url)


def test_a_missing_file_is_named(url: str) -> None:
    lake = Lake.open_or_create(url)
    for number in (1, 2):
        lake.commit({"spans": make_table("spans")}, writer=f"w{number}", sequence=0)
    [state] = [state for state in lake.partitions() if state.table == "spans"]
    import obstore
    from obstore.store import S3Store

    obstore.delete(S3Store.from_url(url), f"spans/{state.files[0].name}")
    with pytest.raises(LakeError, match=r"is missing, but the table's log names it"):
        lake.compact(state)


def test_arrow_reads_a_file_of_the_bucket(url: str) -> None:
    lake = Lake.open_or_create(url)
    lake.commit({"spans": make_table("spans", 2)}, writer="w", sequence=0)
    [path] = lake.files("spans")
    table: pa.Table = pq.ParquetFile(lake.source(path)).read()
    assert table.num_rows == 2
