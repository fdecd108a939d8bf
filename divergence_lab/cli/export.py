"""The command `export`: a loss as source text that stands alone."""

from __future__ import annotations

import argparse
from pathlib import Path

from divergence_lab.cli.arguments import DONE, AddCommand, add_loss_options, print_json, read_each
from divergence_lab.inputs import InputError
from divergence_lab.theory.expressions.printing import write

FORMS = ("torch", "jax", "torchgfn", "latex")


def add_commands(command: AddCommand) -> None:
    """Add `export`."""
    one = command(
        "export",
        _export,
        "a loss as source text that stands alone: torch, JAX, torchgfn, LaTeX",
        "divergence-lab export 'linex(1/2)' --form torch --out my_loss.py",
    )
    one.add_argument(
        "losses", nargs=1, metavar="LOSS", help="a catalogue name or an expression in x"
    )
    one.add_argument("--form", choices=FORMS, default="torch", help="(torch)")
    one.add_argument("--out", metavar="FILE", help="where to write it (standard output)")
    add_loss_options(one)


def _export(options: argparse.Namespace) -> int:
    from divergence_lab.bridge.export import export

    ((name, loss),) = read_each(options, options.losses).values()
    source = export(loss, options.form, options.budget)
    if options.out:
        try:
            Path(options.out.strip()).write_text(source, encoding="utf-8")
        except OSError as error:
            raise InputError(
                f"{options.out.strip()}: {error.strerror}; name a file that can be written"
            ) from None
    if options.json:
        document = {
            "name": name,
            "loss": write(loss.expression),
            "form": options.form,
            "source": source,
            "out": options.out,
        }
        print_json(document)
    else:
        print(
            f"wrote {options.out.strip()}" if options.out else source,
            end="\n" if options.out else "",
        )
    return DONE
