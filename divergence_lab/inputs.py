"""What users give: files, in whatever encoding their editor or shell wrote them; and the one error
for what can't be used.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


class InputError(ValueError):
    """What a user gave can't be used; the message says why and what to give instead.

    The command line prints it as one line and exits with 2. Every error of this kind is a subclass.
    """


def read_input(file: str | Path, most: int = -1) -> str:
    """The text of a file, of standard input for "-": UTF-8, UTF-16 or UTF-32, with a byte order
    mark or without; `most` bytes of it, if that is said.

    Windows PowerShell's > writes UTF-16, some editors UTF-8 with a mark.  OSError;
    UnicodeDecodeError for other bytes.
    """
    if str(file) == "-":
        stream = getattr(sys.stdin, "buffer", sys.stdin)
        content = (
            b"" if stream is None else stream.read(most)
        )  # None: it was closed before Python started
    else:
        with Path(file).open("rb") as opened:
            content = opened.read(most)
    return content if isinstance(content, str) else content.decode(json.detect_encoding(content))


def read_json(
    file: str | Path,
    object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None,
    most: int = -1,
    **hooks: Any,
) -> Any:
    """What the file holds.

    OSError; ValueError where it is no JSON; RecursionError where it is too deep.
    """
    return json.loads(
        read_input(file, most).removeprefix("\ufeff"), object_pairs_hook=object_pairs_hook, **hooks
    )
