"""A decoder in a process of its own, see `decoder_process.Beside`.

It answers on the socket that it inherits until that is closed, so it never outlives the drain.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from multiprocessing.connection import Connection
from typing import Any

from exray.collector.decode import Received
from exray.collector.memory import keep_what_a_set_frees
from exray.lake import Lake
from exray.lake.layout import storage_at
from exray.schema.errors import LakeError

from .decoder import Decoder


def main(arguments: Sequence[str]) -> int:
    """Answer until the socket is closed.

    Args:
        arguments: Descriptors of the socket and of the requests' memory, and the lake's place.
    """
    keep_what_a_set_frees()
    bodies, decoder = int(arguments[1]), Decoder(Lake(storage_at(arguments[2])))
    with Connection(int(arguments[0])) as connection:
        while True:
            try:
                what, given = connection.recv()
            except (EOFError, OSError):
                return 0
            connection.send(_answer(decoder, bodies, what, given))


def _answer(decoder: Decoder, bodies: int, what: str, given: tuple[Any, ...]) -> object:
    if what == "decode":
        bare, sizes, known_runs = given
        return decoder.decode(_whole(bare, sizes, bodies), known_runs)
    try:
        return decoder.write(*given)
    except LakeError as error:
        return error


def _whole(bare: Sequence[Received], sizes: Sequence[int], bodies: int) -> list[Received]:
    """Return requests with their bodies, and give their memory back."""
    content = memoryview(os.pread(bodies, sum(sizes), 0))
    os.ftruncate(bodies, 0)
    places = pairwise(accumulate(sizes, initial=0))
    return [
        replace(request, body=bytes(content[start:end]))
        for request, (start, end) in zip(bare, places, strict=True)
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
