"""Docstrings are plain text with formulas: what Markdown would take for emphasis, tags or links
is escaped.
"""

from __future__ import annotations

import re

from griffe import Extension

# fences, indented blocks and code spans are left as they are
LEFT = re.compile(r"(```.*?```|`[^`\n]+`|^(?: {4}|\t).*?$)", re.DOTALL | re.MULTILINE)


def plain(text: str) -> str:
    """Everything but code, with * _ < [ ] escaped; Markdown knows no escape for <."""
    parts = LEFT.split(text)
    return "".join(
        part if at % 2 else re.sub(r"([*_\[\]])", r"\\\1", part).replace("<", "&lt;")
        for at, part in enumerate(parts)
    )


class PlainDocstrings(Extension):
    def on_object(self, *, obj, **_):
        if obj.docstring:
            obj.docstring.value = plain(obj.docstring.value)
