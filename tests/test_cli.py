"""The command line: its JSON to the letter, its exit codes, one line for bad input."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from divergence_lab.cli.main import main

DERIVE_KEYS = {
    "name",
    "loss",
    "loss_derivative",
    "generator",
    "divergence",
    "factor",
    "valid",
    "why_invalid",
    "convex",
    "zero_forcing",
    "zero_avoiding",
    "symmetric",
    "even",
    "bounded_gradient",
    "f_at_zero",
    "slope_at_infinity",
    "curvature_at_zero",
    "dual_loss",
    "values",
}
VERDICT_KEYS = {"holds", "condition", "status", "because", "steps", "cites", "seal"}


def run(capsys, *arguments):
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def run_json(capsys, *arguments):
    code, out, err = run(capsys, *arguments, "--json")
    return code, json.loads(out), err


def test_derive_json(capsys):
    code, found, err = run_json(
        capsys, "derive", "quadratic", "exp(x) - x - 1", "--at", "0.1,2", "--digits", "20"
    )
    assert code == 0 and err == ""
    assert [entry["name"] for entry in found] == ["quadratic", "linex(1)"]
    for entry in found:
        assert set(entry) >= DERIVE_KEYS
        for key in (
            "convex",
            "zero_forcing",
            "zero_avoiding",
            "symmetric",
            "even",
            "bounded_gradient",
        ):
            assert set(entry[key]) == VERDICT_KEYS and entry[key]["status"] in (
                "proved",
                "enclosed",
                "undecided",
            )
    second = found[1]
    assert second["loss"] == "exp(x) - x - 1" and second["loss_derivative"] == "exp(x) - 1"
    assert (
        second["generator"] == "t*log(t) - t + 1"
        and second["divergence"] == "forward KL"
        and second["factor"] == "1"
    )
    assert second["valid"] is True and second["why_invalid"] is None
    assert (second["f_at_zero"], second["slope_at_infinity"], second["curvature_at_zero"]) == (
        "1",
        "oo",
        "1",
    )
    assert second["dual_loss"] == "x**2/2"
    assert (
        second["values"][0]["f"].startswith("0.6697414907005954")
        and float(second["values"][0]["radius"]) < 1e-18
    )


def test_derive_with_parameters(capsys):
    code, (found,), _ = run_json(capsys, "derive", "linex(alpha)", "--set", "alpha=1/2")
    assert code == 0 and found["divergence"] == "squared Hellinger" and found["factor"] == "2"


def test_a_value_is_set_before_the_loss_is_looked_at(capsys):
    """|x|^p/p is no loss at p = 0, so it is one only where p has a value or an assumption."""
    assert main(["derive", "Abs(x)**p/p", "--set", "p=3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["f_at_zero"] == "oo"
    assert main(["derive", "Abs(x)**p/p", "--json"]) == 2


def test_derive_in_words(capsys):
    code, out, _ = run(capsys, "derive", "quadratic")
    assert (
        code == 0
        and "reverse KL" in out
        and "zero-forcing  yes" in out
        and "zero-avoiding no" in out
    )
    assert "\\log" in run(capsys, "derive", "quadratic", "--latex")[1]


def test_an_expression_may_begin_with_a_minus_sign(capsys):
    code, (found,), _ = run_json(capsys, "derive", "-x**2/2 + cosh(x)")
    assert code == 0 and found["valid"] is True


def test_check_accepts_what_derive_prints_and_names_what_was_altered(capsys, tmp_path):
    _, out, _ = run(capsys, "derive", "quadratic", "linex(alpha)", "--json")
    path = tmp_path / "proofs.json"
    path.write_text(out)
    assert run(capsys, "check", str(path))[0] == 0
    path.write_text(out.replace('"limit": "-oo"', '"limit": "oo"'))
    code, _, err = run(capsys, "check", str(path))
    assert code == 1 and "zero_forcing" in err and len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "sampler, forcing, avoiding",
    [
        ("on", True, False),
        ("backward", False, True),
        ("mixture:1/10", True, True),
        ("power:1/2", False, False),
    ],
)
def test_the_sampler_changes_the_verdicts(capsys, sampler, forcing, avoiding):
    _, (found,), _ = run_json(capsys, "derive", "quadratic", "--sampler", sampler)
    assert (found["zero_forcing"]["holds"], found["zero_avoiding"]["holds"]) == (forcing, avoiding)
    assert found["sampled_loss"] == "x**2/2"


def test_verify_json(capsys):
    code, rows, _ = run_json(capsys, "verify", "quadratic", "linex(1)", "--env", "hypergrid:2x3")
    assert code == 0
    assert all(
        {
            "loss",
            "objective",
            "env",
            "sampler",
            "max_gradient_error",
            "flipped_sign_error",
            "holds",
            "groups",
        }
        <= set(row)
        for row in rows
    )
    assert all(row["holds"] and row["max_gradient_error"] < 1e-12 for row in rows)
    assert rows[0]["flipped_sign_error"] < 1e-12 and rows[1]["flipped_sign_error"] > 0.01


def test_train_json_and_files(capsys, tmp_path):
    code, found, _ = run_json(
        capsys,
        "train",
        "quadratic",
        "linex(1)",
        "--env",
        "hypergrid:2x4",
        "--seeds",
        "2",
        "--steps",
        "40",
        "--batch",
        "8",
        "--device",
        "cpu",
        "--out",
        str(tmp_path),
    )
    assert code == 0 and set(found) == {"runs", "seconds", "trajectories_per_second", "device"}
    assert [(row["loss"], row["seed"]) for row in found["runs"]] == [
        ("quadratic", 0),
        ("quadratic", 1),
        ("linex(1)", 0),
        ("linex(1)", 1),
    ]
    assert set(found["runs"][0]) == {
        "objective",
        "loss",
        "seed",
        "steps",
        "tv",
        "kl_forward",
        "kl_reverse",
        "log_z",
        "log_z_true",
        "modes_found",
        "finite",
        "moved",
        "learning_rate",
    }
    with open(tmp_path / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "objective",
        "loss",
        "seed",
        "step",
        "metric",
        "value",
        "learning_rate",
    ]
    last = [
        float(r["value"])
        for r in rows
        if (r["loss"], r["seed"], r["metric"]) == ("linex(1)", "1", "tv")
    ][-1]
    packed = np.load(tmp_path / "terminal.npz")
    assert last == pytest.approx(found["runs"][3]["tv"])
    assert 0.5 * np.abs(packed["terminal"][1, 1] - packed["target"]).sum() == pytest.approx(
        last, abs=1e-12
    )
    assert "torch" in json.loads((tmp_path / "environment.json").read_text())
    assert json.loads((tmp_path / "config.json").read_text())["steps"] == 40


BAD = [
    ("derive", "__import__('os').system('true')"),
    ("derive", "x.real"),
    ("derive", "9**9**9**9"),
    ("derive", "(" * 1_000_000),
    ("derive", "x\0"),
    ("derive", "quadratic", "--sampler", "nonsense"),
    ("check", "no_such_file.json"),
    ("invert", "x**2"),
    ("derive", "t**2"),
    ("derive", "quadratic", "--at", "-1"),
    ("derive", "quadratic", "--at", "abc"),
    ("derive", "quadratic", "--digits", "-3"),
    ("derive", "quadratic", "--digits", "5000"),
    ("derive", "quadratic", "--set", "alpha"),
    ("derive", "quadratic", "--set", "alpha=1"),
    ("derive", "linex(a)", "--set", "a=0"),
    ("derive", "linex(a)", "--assume", "a >< 0"),
    ("derive", "linex(a)", "--at", "2"),
    ("derive", "1/(5-x)", "--at", "2"),
    ("derive", "quadratic", "--budget", "0"),
    ("derive",),
    ("nonsense",),
    ("verify", "linex(a)"),
    ("verify", "quadratic", "--env", "hypergrid:2"),
    ("verify", "quadratic", "--objective", "xx"),
    ("verify", "quadratic", "--sampler", "nonsense"),
    ("verify", "quadratic", "--env", "dag:no_such_file.json"),
    ("verify", "quadratic", "--env", "hypergrid:9x9"),
    ("verify", "quadratic", "--env", "hypergrid:2x30"),
    ("train", "quadratic"),
    ("train", "quadratic", "--env", "bits:4x3"),
    ("train", "quadratic", "--env", "hypergrid:0x8"),
    ("train", "quadratic", "--env", "hypergrid:2x8", "--seeds", "0"),
    ("train", "quadratic", "--env", "hypergrid:2x8", "--resume"),
    ("train", "quadratic", "--env", "hypergrid:2x8", "--objective", "nonsense"),
    ("report", "foo(x)", "--out", "unused"),
]


@pytest.mark.parametrize("arguments", BAD, ids=range(len(BAD)))
def test_bad_input_is_one_line_and_exit_code_2(capsys, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    assert code == 2 and captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1 and "Traceback" not in captured.err
    assert len(captured.err) < 700
    assert not list(tmp_path.iterdir())


def test_a_straight_part_that_is_left_out_of_an_exported_loss_is_told(capsys):
    assert main(["export", "exp(x) - 1"]) == 0
    assert "straight part x is left out" in capsys.readouterr().err
    assert main(["export", "exp(x) - x - 1"]) == 0
    assert not capsys.readouterr().err


def test_the_table_of_what_holds_comes_out_of_one_command(capsys):
    code, rows, _ = run_json(
        capsys,
        "verify",
        "quadratic",
        "linex(1)",
        "--env",
        "hypergrid:2x2",
        "--objective",
        "all",
        "--sampler",
        "on",
        "--sampler",
        "mixture:1/4",
        "--sampler",
        "drawn:epsilon:0.1",
    )
    assert code == 0 and len(rows) == 9 * 3 * 2
    alone = {
        (row["objective"], group["parameters"]): group["divergence_alone"]
        for row in rows
        if row["sampler"] == "on" and row["loss"] == "linex(1)"
        for group in row["groups"]
    }
    assert (
        alone["db", "P_F logits"] and alone["db", "log F(s0)"] and not alone["db", "interior log F"]
    )
    assert alone["fm", "edge flows, outflow held"] and not alone["fm", "edge flows"]
    assert (
        main(["verify", "quadratic", "linex(1)", "--env", "hypergrid:2x2", "--objective", "tb,db"])
        == 0
    )
    assert "interior log F" in capsys.readouterr().out


def test_a_failed_check_is_exit_code_1(capsys, monkeypatch):
    from divergence_lab.theorem import check as theorem

    right = theorem.forward_potential
    monkeypatch.setattr(theorem, "forward_potential", lambda *given: 1.01 * right(*given))
    assert main(["verify", "quadratic", "--env", "hypergrid:2x2"]) == 1
    assert "NO" in capsys.readouterr().out


COMMANDS = (
    "derive compare check verify train invert catalogue design export audit bench molecules sweep "
    "report"
)


def test_these_are_the_commands(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = re.findall(r"^    (\w+)\b", capsys.readouterr().out, re.MULTILINE)
    assert set(listed) == set(COMMANDS.split())


@pytest.mark.parametrize("command", COMMANDS.split())
def test_every_command_has_help_with_an_example(capsys, command):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0 and "example: divergence-lab" in capsys.readouterr().out


def test_slow_commands_say_what_they_do_until_they_have_done_it(monkeypatch, capsys, tmp_path):
    """On a terminal alone: a line that is wiped; what is piped stays free of it."""
    main(["derive", "quadratic", "--json"])
    (tmp_path / "proofs.json").write_text(capsys.readouterr().out)
    commands = {
        "checking loss 1 of 1 ...": ["check", str(tmp_path / "proofs.json")],
        "looking for losses": ["design", "--zero-forcing", "--bounded-gradient"],
        "writing quadratic for latex": ["export", "quadratic", "--form", "latex"],
    }
    for said, words in commands.items():
        main(words)
        assert said not in capsys.readouterr().err
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        main(words)
        err = capsys.readouterr().err
        assert said in err and "\r\033[K" in err[err.rindex("...") :]
        monkeypatch.undo()


def test_the_module_runs_too_and_json_is_all_that_it_prints():
    done = subprocess.run(
        [sys.executable, "-m", "divergence_lab", "derive", "quadratic", "--json"],
        capture_output=True,
        text=True,
        timeout=850,
        check=True,
    )
    assert json.loads(done.stdout)[0]["divergence"] == "reverse KL" and done.stderr == ""


# --- standard streams that are closed, or full


def test_a_full_disk_is_one_line(monkeypatch, capsys):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stdout", full)
        assert main(["catalogue"]) == 2
        monkeypatch.undo()
    assert capsys.readouterr().err == "divergence-lab catalogue: No space left on device\n"


@pytest.mark.parametrize("words", [["--help"], ["derive", "--help"]])
@pytest.mark.parametrize("buffered", [True, False])
def test_help_on_a_full_disk_is_one_line(words, buffered, monkeypatch, capsys):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with Path("/dev/full").open("w") as full:
        full.reconfigure(write_through=not buffered)
        monkeypatch.setattr("sys.stdout", full)
        assert main(words) == 2
        monkeypatch.undo()
    assert capsys.readouterr().err == "divergence-lab: No space left on device\n"


def test_a_full_disk_behind_standard_error_leaves_the_exit_code(monkeypatch):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stderr", full)
        assert main(["derive", "x^2"]) == 2
        with pytest.raises(SystemExit) as stop:
            main(["derive", "x", "--bugdet", "1"])
        monkeypatch.undo()
    assert stop.value.code == 2


@pytest.mark.parametrize("wrong, code", [(False, 0), (True, 1)])
def test_a_reader_that_has_gone_leaves_the_exit_code(wrong, code, tmp_path, monkeypatch, capsys):
    """`| head -1` of a check that fails is a check that failed."""
    assert main(["derive", "quadratic", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    document[0]["f_at_zero"] = "7" if wrong else "oo"
    (tmp_path / "proofs.json").write_text(json.dumps(document))
    for words in (["check"], ["check", "--json"]):
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "w", buffering=1) as gone:
            monkeypatch.setattr("sys.stdout", gone)
            assert main([*words, str(tmp_path / "proofs.json")]) == code
            monkeypatch.undo()
        assert capsys.readouterr().err.count("\n") == code


def test_a_failure_of_the_system_is_one_line_without_standard_output_too(monkeypatch, capsys):
    def full(*arguments, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sys.stdout", None)
    monkeypatch.setattr(
        "builtins.print",
        lambda *words, file=None, print=print: print(*words, file=file) if file else full(),
    )
    assert main(["catalogue"]) == 2
    assert capsys.readouterr().err == "divergence-lab catalogue: No space left on device\n"


def test_a_closed_standard_input_is_an_empty_one(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", None)  # as Python has it then
    assert main(["check", "-"]) == 2
    assert capsys.readouterr().err.startswith("divergence-lab check: standard input is not JSON")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&-"])
def test_closed_standard_streams_cost_no_answer(closed):
    """Their numbers went to the pipes of the worker, which then answered nothing."""
    code = (
        "import sys; from divergence_lab.theory.budget.asking import allow_fork, within; "
        "allow_fork(); "
        "print(within(5.0, max, 3, 4), file=sys.stderr)"
    )
    done = subprocess.run(
        ["sh", "-c", f'"$0" -c "$1" {closed}', sys.executable, code], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "4\n")


def test_a_name_with_a_minus_sign_is_taken_as_typed(tmp_path, monkeypatch, capsys):
    """argparse would take it for an option, so that a space stands before it on the way."""
    monkeypatch.chdir(tmp_path)
    assert main(["export", "-1 + cosh(x)", "--out", "-x.py"]) == 0
    assert capsys.readouterr().out == "wrote -x.py\n"
    assert [path.name for path in tmp_path.iterdir()] == ["-x.py"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("design --zero-forcing --no-zero-forcing", "contradicts"),
        ("design --no-zero-avoiding --zero-avoiding", "contradicts"),
        ("derive linex(alpha) --set alpha=1 --set alpha=2", "has a value already"),
    ],
)
def test_what_is_asked_twice_and_differently_is_refused(words, said, capsys):
    try:
        code = main(words.split())
    except SystemExit as end:
        code = end.code
    printed = capsys.readouterr()
    assert code == 2 and not printed.out
    assert said in printed.err and printed.err.count("\n") == 1
