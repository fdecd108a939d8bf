"""Messages between an asking process and one that answers: a frame, then the content.

frame: kind, processor seconds used, searches ended for lack of time, length of the content
"""

import os
import select
import struct
from collections.abc import Callable

# An asker looks this often at what its worker has used.
LOOK_SECONDS = 0.05


PART, ANSWER, FAILURE, OUT_OF_TIME, DIED = b"P", b"A", b"F", b"T", b"D"


_FRAME = struct.Struct("<cdIQ")


class Gone(Exception):
    """The process at the other end of a pipe has ended."""


def write_frame(pipe: int, kind: bytes, content: bytes, used: float = 0.0, cut: int = 0) -> None:
    """Send one message; `used` and `cut` are the seconds and ended searches so far."""
    data = memoryview(_FRAME.pack(kind, used, cut, len(content)) + content)
    while data:
        data = data[os.write(pipe, data) :]


def read_frame(
    pipe: int, left: Callable[[], float] | None = None, watched: int | None = None
) -> tuple[bytes, float, int, bytes]:
    """(kind, processor seconds, searches cut short, content).

    `left` tells the seconds left, or raises; `watched` is a pipe that turns readable only when the
    process behind it has ended.
    """
    kind, used, cut, size = _FRAME.unpack(_read_bytes(pipe, _FRAME.size, left, watched))
    return kind, used, cut, _read_bytes(pipe, size, left, watched)


def _read_bytes(
    pipe: int, count: int, left: Callable[[], float] | None, watched: int | None
) -> bytes:
    data = bytearray()
    while len(data) < count:
        # nothing is used faster than by the clock, save by several threads
        wait = None if left is None else min(LOOK_SECONDS, max(0.002, left()))
        ready = select.select([pipe] if watched is None else [pipe, watched], [], [], wait)[0]
        if not ready:
            continue
        chunk = os.read(pipe, min(count - len(data), 1 << 20)) if pipe in ready else b""
        if not chunk:
            raise Gone
        data += chunk
    return bytes(data)
