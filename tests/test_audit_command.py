"""What the audit refuses, in one line each; its JSON, its command and its page."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from divergence_lab.audit import AuditError, audit

from .test_audit import half_squared

ROOT = Path(__file__).resolve().parents[1]


# --- what is refused, in one line


@pytest.mark.parametrize(
    "call, message",
    [
        ("no_such_module_of_ours:f", "importing no_such_module_of_ours failed"),
        ("torch:no_such_loss", "torch has no no_such_loss"),
        ("torch:pi", "can't be called"),
        ("torch", "path/to/file.py:callable"),
        ("torch.nn:MSELoss(__import__('os'))", "literals"),
        ("torch.nn:NLLLoss", "failed"),
        (lambda x: x / 0 if False else [1, 2], "not a torch tensor"),
        (lambda x: (x**2).detach(), "no gradient"),
        (lambda x: (x - x.detach().mean()).abs(), "not elementwise"),
        (lambda x: torch.softmax(x, 0) * x, "not elementwise"),
        (lambda x: x**2 * torch.rand(()), "is random"),
        (lambda x: undefined_name, "NameError"),  # noqa: F821
    ],
)
def test_refusals_are_one_clear_line(call, message):
    with pytest.raises(AuditError, match=re.escape(message)) as raised:
        audit(call)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"residual": "model"}, "--residual"),
        ({"range": (1, 5)}, "--range"),
        ({"dtype": "float8"}, "--dtype"),
        ({"feed": ("logits",)}, "--feed"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(AuditError, match=message):
        audit(half_squared, **options)


def test_the_json_has_the_keys_of_the_contract():
    document = json.loads(json.dumps(audit(half_squared).to_json(), allow_nan=False))
    assert {
        "effective_loss",
        "divergence",
        "zero_forcing",
        "zero_avoiding",
        "under_the_other_sign",
        "documented",
        "problems",
        "max_gradient_error",
    } <= set(document)
    assert {"holds", "condition", "status", "because", "steps"} <= set(document["zero_forcing"])
    assert (
        document["effective_loss"] == "x**2/2"
        and document["under_the_other_sign"]["divergence"] == "reverse KL"
    )


# --- the command, and the page


def command(line, capsys):
    from divergence_lab.cli.main import main

    try:
        code = main(shlex.split(line)[1:])
    except SystemExit as leaving:  # argparse
        code = leaving.code
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_json_holds_one_document_whatever_the_module_prints(tmp_path, monkeypatch, capsys):
    (tmp_path / "noisy_losses.py").write_text(
        "print('hello')\ndef f(x):\n    print('called')\n    return x**2\n"
    )
    monkeypatch.chdir(tmp_path)
    code, out, err = command(
        "divergence-lab audit noisy_losses:f --residual target/model --json", capsys
    )
    assert code == 0 and json.loads(out)["divergence"] == "reverse KL" and "hello" in err


def test_a_failing_import_is_exit_code_2_and_one_line(capsys):
    code, out, err = command(
        "divergence-lab audit no_such_module_of_ours:f --residual target/model", capsys
    )
    assert (
        code == 2
        and out == ""
        and len(err.strip().splitlines()) == 1
        and "no_such_module_of_ours" in err
    )


def test_a_callable_that_hangs_is_given_up(tmp_path):
    (tmp_path / "slow_losses.py").write_text(
        "import time\ndef f(x):\n    time.sleep(600)\n    return x**2\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "divergence_lab",
            "audit",
            "slow_losses:f",
            "--residual",
            "target/model",
            "--time-limit",
            "1",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=850,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (
        done.returncode == 2
        and done.stdout == ""
        and done.stderr.count("\n") == 1
        and "--time-limit" in done.stderr
    )


def test_without_an_effective_loss_it_says_what_was_not_looked_for():
    """A loss computed in float16 inside is 0 for |x| up to 1e-4, and no clean bill; control: one
    in float64 that has no name.
    """
    half = audit(lambda x: (x.half() ** 2).float() / 2)
    assert half.effective_loss is None and half.problems == ()
    assert any("cancellation) was not looked for" in note for note in half.notes)
    assert any("every gradient is a float16 number" in note for note in half.notes)
    unknown = audit(lambda x: x.abs() ** 1.37 + torch.sin(x) ** 2 * x**2 / 7)
    assert unknown.effective_loss is None
    assert [("not looked for" in note, "float16" in note) for note in unknown.notes].count(
        (True, False)
    ) == 1
    assert not any("float16" in note for note in unknown.notes)
    assert not any("not looked for" in note for note in audit(lambda x: x**2 / 2).notes)


PAGE = (ROOT / "docs" / "audit.md").read_text() if (ROOT / "docs" / "audit.md").exists() else ""
BLOCKS = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
SHOWN = [(first[2:], rest) for first, _, rest in (block.partition("\n") for block in BLOCKS)]


def test_the_page_shows_commands():
    assert len(SHOWN) >= 6


@pytest.mark.parametrize("line, output", SHOWN, ids=lambda text: text[:60])
def test_the_commands_of_the_page_print_what_it_shows(line, output, tmp_path, monkeypatch, capsys):
    if "gfn." in line:
        pytest.importorskip(
            "gfn.gflownet.losses", reason="torchgfn is not installed: pip install torchgfn==2.4.1"
        )
    (example,) = re.findall(r"```python\n# my_losses.py\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "my_losses.py").write_text(example)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    code, out, err = command(line, capsys)
    assert code == 0, err
    assert (
        out.split() == output.split()
    )  # nothing on it is a digit of rounding, which differs between machines
