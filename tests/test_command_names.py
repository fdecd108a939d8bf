"""The command line as people type it: near names for what is misspelt, defaults in every help,
examples that a shell takes as they stand.
"""

import inspect
import re
import shlex
import subprocess
from pathlib import Path

import pytest

import divergence_lab as dl
from divergence_lab.cli.main import _parser, main
from divergence_lab.training.arguments import Arguments

ROOT = Path(__file__).resolve().parents[1]
PARSERS = _parser()._subparsers._group_actions[0].choices  # name -> parser
OPTIONS = [
    pytest.param(action, id=f"{name} {action.option_strings[0]}")
    for name, parser in PARSERS.items()
    for action in parser._actions
    if action.option_strings and action.dest != "help"
]


def said(capsys, *words):
    try:
        code = main(words)
    except SystemExit as stop:
        code = stop.code
    found = capsys.readouterr()
    return code, found.out, found.err


NEAR = [
    (["dervie", "quadratic"], "no command", "derive"),
    (["trian", "quadratic"], "no command", "train"),
    (["derive", "quadratik"], "no loss is called 'quadratik'", "quadratic"),
    (["derive", "shifted-kosh"], "no loss is called", "shifted_cosh"),
    (["invert", "revers KL"], "no divergence is called", "reverse KL"),
    (["derive", "quadratic", "--sampler", "backwrd"], "is not known", None),
    (["derive", "quadratic", "--bugdet", "3"], "there is no option", "--budget"),
    (["train", "quadratic", "--env", "hypergrid:2x2", "--sede", "3"], "no option", "--seeds"),
    (["train", "quadratic", "--env", "hypergird:2x2"], "is not known", "hypergrid:2x2"),
    (["train", "quadratic", "--env", "hypergrid:2x2:papper"], "is not one of", "paper"),
    (["train", "quadratic", "--env", "hypergrid:2x2", "--objective", "sutb"], "not known", "subtb"),
    (
        ["train", "quadratic", "--env", "hypergrid:2x2", "--objective", "detailed balence"],
        "is not known",
        "detailed balance",
    ),
    (
        ["train", "quadratic", "--env", "hypergrid:2x2", "--sampler", "epsilom:0.1"],
        "not known",
        "epsilon:0.05",
    ),
    (
        ["train", "quadratic", "--env", "hypergrid:2x2", "--backward", "unifrom"],
        "not available",
        "uniform",
    ),
    (
        ["train", "quadratic", "--env", "hypergrid:2x2", "--policy", "tabula"],
        "not known",
        "tabular",
    ),
    (["export", "quadratic", "--form", "troch"], "not known", "torch"),
    (["sweep", "grid.json", "--out", "runs", "--cluster", "slrum"], "not known", "slurm"),
    (["bench", "--against", "torchgfm"], "is not known", "torchgfn"),
]


@pytest.mark.parametrize(("words", "what", "meant"), NEAR, ids=[" ".join(row[0]) for row in NEAR])
def test_what_is_misspelt_gets_the_nearest_name(words, what, meant, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = said(capsys, *words)
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert what in err and "did you mean" in err and (meant is None or f"'{meant}'" in err), err
    assert len(err) < 250 and not list(tmp_path.iterdir())


def test_what_is_near_nothing_gets_the_list(capsys):
    code, _, err = said(capsys, "zebra")
    assert code == 2 and "'zebra' is no command: it is one of derive, compare" in err
    code, _, err = said(capsys, "derive", "quadratic", "--zebra")
    assert code == 2 and "there is no option '--zebra'; see divergence-lab derive --help" in err
    code, _, err = said(capsys, "check", "a.json", "b.json")
    assert code == 2 and "'b.json' is one argument too many" in err
    code, _, err = said(capsys, "--json", "derive", "quadratic")
    assert code == 2 and "--json belongs behind the name of the command" in err


def test_the_papers_spellings_are_read(capsys):
    for words in (["Linex(1)"], ["Shifted-Cosh"], ["QUADRATIC"], ["Linex(1/2)"]):
        assert said(capsys, "export", *words, "--form", "latex", "--budget", "30")[0] == 0
    from divergence_lab.gflownet.objectives import objective
    from divergence_lab.gflownet.samplers import sampler

    assert objective("SubTB(0.9)") == objective("subtb(0.9)")
    assert objective("Trajectory Balance") == objective("TB") == objective("tb")
    assert objective("Flow-Matching") == objective("fm") and objective("FL-DB") == objective(
        "fl-db"
    )
    assert sampler("Epsilon:0.1") == sampler("epsilon:0.1")
    assert dl.graph_from_text("HyperGrid:2x3").name == "hypergrid:2x3"


def test_the_version_and_the_bare_command(capsys):
    assert said(capsys, "--version") == (0, f"divergence-lab {dl.__version__}\n", "")
    code, out, err = said(capsys)
    assert code == 0 and out.startswith("usage: divergence-lab") and err == ""
    assert said(capsys, "--help")[1] == out
    assert f'version = "{dl.__version__}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("action", OPTIONS)
def test_every_option_says_what_it_does_and_its_default(action):
    assert action.help and len(action.help) > 5
    has_default = action.default not in (None, False, [], "==SUPPRESS==")
    assert action.help.count("(default: ") <= 1
    assert not has_default or re.search(r"\S \(default: [^()]+\)$", action.help)
    assert not re.search(r"\s\(([\d.]+|auto|on|tb)\)$", action.help), "write it as a default"


def test_the_defaults_of_train_are_those_of_python():
    defaults = inspect.signature(Arguments).parameters
    for action in PARSERS["train"]._actions:
        if action.dest in defaults and action.default is not None:
            assert action.default == defaults[action.dest].default, action.dest


# --- examples: in every help, in the README and on every page

COMMAND = re.compile(r"^(?:    |\$ )(divergence-lab .+?)(?:\s{2,}#.*)?$", re.MULTILINE)
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "notebooks").glob("*.md")]
EXAMPLES = {name: parser.epilog.removeprefix("example: ") for name, parser in PARSERS.items()}
SHOWN = [
    *EXAMPLES.values(),
    *(line for page in sorted(PAGES) for line in COMMAND.findall(page.read_text())),
    *re.findall(
        r"- run: (divergence-lab .+)", (ROOT / ".github/workflows/release.yml").read_text()
    ),
]
FORM = re.compile(r"\b(LOSS|FILE|DIR|COMMAND|SUBJECT)\b|\.\.\.")  # a form, not an example


def test_a_shell_takes_every_example_as_it_stands():
    """bash reads them, and runs nothing: -n; with brackets unquoted it refuses a line."""
    assert len(SHOWN) > 60
    script = "\n".join(line for line in SHOWN if not FORM.search(line))
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    refused = subprocess.run(
        ["bash", "-n"], input="divergence-lab derive linex(1/2)", capture_output=True, text=True
    )
    assert refused.returncode != 0


def of_a_shell(line):
    """The commands of a line, without what the shell does with them."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    command = []
    for word in [*words, ";"]:
        if word in (";", "&&", "|"):
            yield command
            command = []
        else:
            command.append(word)


@pytest.mark.parametrize("line", dict.fromkeys(SHOWN))
def test_every_example_is_one_that_the_parser_takes(line, capsys):
    if FORM.search(line):
        pytest.skip("a form, not an example")
    for words in of_a_shell(line):
        if words[:1] != ["divergence-lab"]:
            continue
        if ">" in words:
            words = words[: words.index(">")]
        given = [f" {word}" if re.match(r"-[^-h]|-h.", word) else word for word in words[1:]]
        if {"--help", "--version"} & set(given):
            continue
        options, unknown = _parser().parse_known_args(given)
        assert options.run and not unknown, capsys.readouterr().err


CHEAP = ("derive", "check", "catalogue", "export", "invert", "molecules")


def test_the_cheap_examples_of_the_help_run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in CHEAP:
        if name == "molecules":
            pytest.importorskip("rdkit", reason="pip install rdkit")
        for words in of_a_shell(EXAMPLES[name]):
            words, _, target = " ".join(map(shlex.quote, words)).partition(" '>' ")
            code, out, err = said(capsys, *shlex.split(words)[1:])
            assert code == 0, (words, err)
            if target:
                (tmp_path / target).write_text(out)
