"""The page of the command line, made from the parser itself: every command, its example, every
option with its default.
"""

from __future__ import annotations

import argparse
import re
from html import escape

from divergence_lab.cli.main import _parser


def page() -> str:
    """commands.md"""
    parser = _parser()
    commands = next(
        action for action in parser._actions if isinstance(action, argparse._SubParsersAction)
    )
    lines = [
        "# The command line",
        "",
        "`divergence-lab COMMAND ...`, or `python -m divergence_lab COMMAND ...`. "
        "Exit code 0: done; 1: it ran, and a check did not hold; 2: bad input, with one line that "
        "says what to write. With `--json` standard output holds one JSON document and nothing "
        "else.",
        "",
        "| command | what it does |",
        "|---|---|",
    ]
    shown = {action.dest: action.help for action in commands._choices_actions}
    lines += [f"| [`{name}`](#{name}) | {cell(help or '')} |" for name, help in shown.items()]
    for name, one in commands.choices.items():
        lines += ["", *section(name, one)]
    return "\n".join(lines) + "\n"


def section(name: str, parser: argparse.ArgumentParser) -> list[str]:
    """One command: what it does, an example, what it takes."""
    example = re.sub(r"^example:\s*", "", parser.epilog or "")
    inner = next(
        (one for one in parser._actions if isinstance(one, argparse._SubParsersAction)), None
    )
    if inner is not None:
        return [
            line for part, one in inner.choices.items() for line in section(f"{name} {part}", one)
        ]
    said = parser.description or ""
    lines = [f"## {name}", "", f"{said[:1].upper()}{said[1:]}.".replace("..", "."), ""]
    if example:
        lines += ["```bash", example, "```", ""]
    rows = [
        row(action) for action in parser._actions if not isinstance(action, argparse._HelpAction)
    ]
    return [*lines, "| argument | default | meaning |", "|---|---|---|", *rows]


def row(action: argparse.Action) -> str:
    """| `--seeds N` | 5 | train seeds 0 ... N-1 |"""
    given = action.metavar if isinstance(action.metavar, str) else None
    if given is None and action.choices is not None:
        given = "|".join(map(str, action.choices))
    if given is None and action.nargs != 0:
        given = action.dest.upper()
    names = ", ".join(action.option_strings)
    written = (
        f"{names} {given or ''}".strip()
        if names
        else f"{given}{' ...' if action.nargs in ('*', '+') else ''}"
    )
    help_text, default = action.help or "", default_of(action)
    help_text = re.sub(r"\s*\(default: %\(default\)s\)|\s*\(default: ([^()]*)\)\s*$", "", help_text)
    return f"| `{written.replace('|', chr(92) + '|')}` | {cell(default)} | {cell(help_text)} |"


def default_of(action: argparse.Action) -> str:
    """As the help says it, or as the parser has it."""
    said = re.search(r"\(default: ((?!%)[^()]*)\)\s*$", action.help or "")
    if said:
        return said[1]
    value = action.default
    if not action.option_strings or value in (None, False, argparse.SUPPRESS) or value == []:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def cell(text: str) -> str:
    """Text that a table can hold: `*` and `<` are meant as they are."""
    return re.sub(r"([*_\[\]|])", r"\\\1", escape(text, quote=False)).replace("%%", "%")
