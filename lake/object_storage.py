"""Bytes of a lake in an S3 bucket, or in what speaks S3: whole objects, never overwritten.

Reaches the bucket through `obstore`, by the settings that `deltalake` reads too: the
environment's ``AWS_*`` variables, else the machine's own role. Neither keys nor tokens are
ever put into a message.
"""

import io
import os
import re
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from exray.schema.errors import LakeError, LakeUnreachableError, MissingExtraError

if TYPE_CHECKING:
    from obstore.store import S3Store

SCHEME = "s3://"

TIMEOUT_S = 30
"""Longest wait for one answer."""

TRIES = 3
"""A store that is away is tried again by whoever commits, which waits longer each time."""

PROBE = ".exray-probe"
"""Folder of the objects that try the store out; hidden from readers of tables."""

DELTA_OPTIONS = {
    "timeout": f"{TIMEOUT_S}s",
    "max_retries": str(TRIES),
    "retry_timeout": f"{2 * TIMEOUT_S}s",
    # An entry of the log is put only where there is none: what makes commits safe.
    "conditional_put": "etag",
}
"""What `deltalake` is told besides the environment."""

_CREDENTIALS = (
    "Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION, or give the machine a role "
    "that may list, read, write and delete there"
)

_URL = re.compile(r"s3:/{1,2}([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9._/=-]*))?")
"""Also of one that went through `pathlib.Path`, which joins slashes."""


def url_of(path: str) -> str:
    """Return the URL that *path* means, without a slash at its end.

    Raises:
        LakeError: It is no bucket's, or has characters that engines read in different ways.
    """
    found = _URL.fullmatch(path)
    if found is None:
        msg = (
            f"{path!r} cannot be a lake: expected s3://BUCKET/PREFIX, of a prefix of letters, digits "
            "and '.', '_', '/', '=', '-', or a local folder such as './lake'"
        )
        raise LakeError(msg)
    bucket, prefix = found[1], (found[2] or "").strip("/")
    return f"{SCHEME}{bucket}/{prefix}".rstrip("/")


class ObjectStorage:
    """Objects under one prefix of a bucket, named by paths relative to it.

    Args:
        url: ``s3://BUCKET/PREFIX``.

    Raises:
        LakeError: The environment's settings do not fit together.
        MissingExtraError: `obstore` is not installed.
    """

    def __init__(self, url: str) -> None:
        self.place = url_of(url)
        self._store = _store(self.place)

    def uri(self, name: str) -> str:
        """Return where *name* stands, in the form that engines read."""
        return f"{self.place}/{name}"

    def read(self, name: str) -> bytes | None:
        """Return the content of *name*, or None where there is no such object."""
        import obstore

        with self._explained(name):
            try:
                return bytes(obstore.get(self._store, name).bytes())
            except FileNotFoundError as error:
                self._check_bucket(error)
                return None

    def open(self, name: str) -> Any:
        """Return what Arrow reads *name* from, a part at a time."""
        import obstore

        with self._explained(name):
            return _Parts(
                self._store, name, obstore.head(self._store, name)["size"], self.uri(name)
            )

    def exists(self, name: str) -> bool:
        """Tell whether there is an object *name*."""
        import obstore

        with self._explained(name):
            try:
                obstore.head(self._store, name)
            except FileNotFoundError:
                return False
            return True

    def names(self, folder: str) -> list[str]:
        """Return the names of the objects in *folder*."""
        import obstore

        with self._explained(folder):
            found = obstore.list_with_delimiter(self._store, folder)["objects"]
            return [meta["path"].rpartition("/")[2] for meta in found]

    def is_empty(self) -> bool:
        """Tell whether there is nothing under the prefix but what is hidden."""
        import obstore

        with self._explained(""):
            found = obstore.list_with_delimiter(self._store)
            paths = [*found["common_prefixes"], *(meta["path"] for meta in found["objects"])]
            return all(path.startswith(".") for path in paths)

    def publish(self, name: str, content: memoryview) -> bool:
        """Make *content* visible under *name*, or leave what stands there.

        Returns:
            False if *name* existed.

        Raises:
            LakeError: The bucket cannot be written.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with self._explained(name):
            try:
                # In one request: an upload in parts is not refused where something stands.
                unsigned = content.cast("B")  # Arrow says of its bytes that they have a sign
                obstore.put(self._store, name, unsigned, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
            return True

    def sweep(self) -> None:
        """Try out that the store refuses to overwrite: without that, commits are lost.

        Raises:
            LakeError: It overwrites, or cannot be reached.
        """
        import obstore

        name = f"{PROBE}/{uuid.uuid4().hex}"
        if self.publish(name, memoryview(b"1")) and self.publish(name, memoryview(b"2")):
            msg = (
                f"the store of {self.place!r} cannot hold a lake: it overwrites where it is told not "
                "to (If-None-Match). Use one with conditional writes, such as AWS S3 or Ceph."
            )
            raise LakeError(msg)
        with self._explained(name):
            obstore.delete(self._store, name)

    def _check_bucket(self, error: FileNotFoundError) -> None:
        if "NoSuchBucket" in str(error):
            raise error

    @contextmanager
    def _explained(self, name: str) -> Generator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError) as error:
            raise explained(error, self.uri(name) if name else self.place) from None


class _Parts(io.RawIOBase):
    """An object as a file, of which only what is read is fetched."""

    def __init__(self, store: "S3Store", name: str, size: int, url: str) -> None:
        self._store, self._name, self._size, self._url = store, name, size, url
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        import obstore
        from obstore.exceptions import BaseError

        left = self._size - self._at
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted <= 0:
            return b""
        try:
            part = obstore.get_range(self._store, self._name, start=self._at, length=wanted)
        except (BaseError, OSError) as error:
            raise explained(error, self._url) from None
        self._at += wanted
        return bytes(part)


def explained(error: Exception, place: str) -> LakeError:
    """Say what *error* means for *place*, in a line, and what to look at."""
    told = " ".join(re.sub(r"\x1b\[[0-9;]*m|[↳\n]", " ", str(error)).split())
    told = told.partition(" Debug source:")[0]
    if "NoSuchBucket" in told:
        bucket = place.removeprefix(SCHEME).partition("/")[0]
        msg = f"there is no bucket {bucket!r}; make it, or name another one with --lake"
        return LakeError(msg)
    if re.search(r"AccessDenied|InvalidAccessKey|SignatureDoesNotMatch|\b40[13]\b", told):
        msg = f"{place!r} may not be used with the credentials of this process: {_CREDENTIALS}"
        return LakeError(msg)
    if "169.254.169.254" in told or "credentials" in told.lower():
        msg = f"{place!r} cannot be used: this process has no credentials. {_CREDENTIALS}"
        return LakeError(msg)
    msg = (
        f"{place!r} cannot be reached: {told[:300]}. Check the network, AWS_REGION and, for another "
        "store than AWS, AWS_ENDPOINT_URL (with AWS_ALLOW_HTTP=true for one without TLS)"
    )
    return LakeUnreachableError(msg)


def _store(url: str) -> "S3Store":
    try:
        from obstore.exceptions import BaseError
        from obstore.store import S3Store
    except ImportError as error:
        raise MissingExtraError("s3", f"the lake {url!r}") from error
    try:
        return S3Store.from_url(
            url,
            client_options={
                "timeout": timedelta(seconds=TIMEOUT_S),
                # Options that are given here come in the place of the environment's.
                "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("true", "1"),
            },
            retry_config={
                "max_retries": TRIES,
                "retry_timeout": timedelta(seconds=2 * TIMEOUT_S),
            },
        )
    except BaseError as error:
        raise explained(error, url) from None
