"""Files of users are read in every encoding of Unicode that Windows and editors write; what is
none is refused in one line.
"""

import codecs
import io
import json
import os
import sys

import numpy as np
import pytest

from divergence_lab.cli.main import main
from divergence_lab.gflownet.samplers import Sampler
from divergence_lab.graphs.spaces.bits import bits
from divergence_lab.graphs.spaces.hypergrid import hypergrid
from divergence_lab.graphs.spaces.sets import sets
from divergence_lab.graphs.spaces.trees import tree
from divergence_lab.inputs import (
    InputError,
    free_memory,
    is_number,
    is_whole,
    number_in,
    read_bytes,
    read_input,
    read_json,
    refuse_if_too_large,
)

ENCODINGS = {
    "utf-8": lambda text: text.encode(),
    "utf-8 with a mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "utf-16 of PowerShell": lambda text: (
        codecs.BOM_UTF16_LE + text.replace("\n", "\r\n").encode("utf-16-le")
    ),
    "utf-16, the other way round": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "utf-16 without a mark": lambda text: text.encode("utf-16-le"),
    "utf-32": lambda text: codecs.BOM_UTF32_LE + text.encode("utf-32-le"),
}
GRAPH = {"edges": [["s", "ä"], ["s", "b"]], "log_rewards": {"ä": 0.0, "b": 1.0}}
SWEEP = {
    "fixed": {"losses": ["quadratic"], "env": "hypergrid:2x2", "seeds": 1, "steps": 2},
    "grid": {"objective": ["tb"]},
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_each_encoding_is_read(encoding, tmp_path, monkeypatch):
    text = json.dumps({"ä": [1, "∞"]}, ensure_ascii=False)
    (tmp_path / "one.json").write_bytes(ENCODINGS[encoding](text))
    assert read_json(tmp_path / "one.json") == {"ä": [1, "∞"]}
    monkeypatch.setattr(
        sys, "stdin", io.TextIOWrapper(io.BytesIO(ENCODINGS[encoding](text)), encoding="ascii")
    )
    assert read_json("-") == {"ä": [1, "∞"]}
    monkeypatch.setattr(sys, "stdin", io.StringIO("\ufeff" + text))
    assert read_json("-") == {"ä": [1, "∞"]}


@pytest.mark.parametrize("encoding", ["utf-8 with a mark", "utf-16 of PowerShell"])
def test_every_command_that_takes_a_file_reads_it(encoding, tmp_path, capsys):
    def file(name, text):
        (tmp_path / name).write_bytes(ENCODINGS[encoding](text))
        return str(tmp_path / name)

    train = ["train", "quadratic", "--steps", "2", "--seeds", "1", "--device", "cpu", "--env"]
    assert main([*train, "dag:" + file("graph.json", json.dumps(GRAPH, ensure_ascii=False))]) == 0
    assert (
        main(
            [
                "sweep",
                file("grid.json", json.dumps(SWEEP)),
                "--out",
                str(tmp_path / "sweep"),
                "--cluster",
                "none",
                "--device",
                "cpu",
            ]
        )
        == 0
    )
    assert (
        main(
            [
                "design",
                "--residuals",
                file("residuals.txt", "\n".join(str(n / 7) for n in range(-20, 25))),
            ]
        )
        == 0
    )
    capsys.readouterr()
    assert main(["derive", "quadratic", "--json"]) == 0
    proofs = capsys.readouterr().out
    assert main(["check", file("proofs.json", proofs)]) == 0
    pytest.importorskip("rdkit", reason="pip install '.[molecules]'")
    assert main(["molecules", "score", file("smiles.json", json.dumps(["CCO"]))]) == 0


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"\x80\x81", b"{\x00", b"", b"\xef\xbb\xbf", b"[" * 100_000]
)
def test_what_is_no_text_or_no_json_is_one_line(content, tmp_path, capsys):
    (tmp_path / "bad.json").write_bytes(content)
    path = str(tmp_path / "bad.json")
    for command in (
        ["check", path],
        ["sweep", path, "--out", str(tmp_path / "out")],
        ["train", "quadratic", "--env", f"dag:{path}"],
    ):
        assert main(command) == 2
        printed = capsys.readouterr()
        assert printed.err.count("\n") == 1 and printed.out == ""


NO_FILES = {
    "none": lambda folder: folder / "none.json",
    "a folder": lambda folder: folder,
    "a pipe": lambda folder: made(os.mkfifo, folder / "pipe"),
    "a device": lambda folder: "/dev/zero",
    "a terminal": lambda folder: "/dev/tty",
    "a name that no file has": lambda folder: "a\0b",
    "a long name": lambda folder: "n" * 5000,
    "too much": lambda folder: made(lambda path: path.write_bytes(b" " * 101), folder / "large"),
}


def made(make, path):
    make(path)
    return path


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_to_read_is_refused_at_once(kind, tmp_path, capsys):
    """A pipe that nobody writes to would be waited for for ever."""
    path = NO_FILES[kind](tmp_path)
    for read in (read_bytes, read_input, read_json):
        with pytest.raises(InputError, match="cannot be read") as caught:
            read(path, 100)
        assert "\n" not in str(caught.value) and "\0" not in str(caught.value)
    if kind == "too much":
        return
    for command in (
        ["check", str(path)],
        ["sweep", str(path), "--out", str(tmp_path / "out")],
        ["train", "quadratic", "--env", f"dag:{path}"],
        ["design", "--residuals", str(path)],
        ["molecules", "score", f"{path}.json", "--data", str(path)],
    ):
        assert main(command) == 2
        printed = capsys.readouterr()
        assert printed.err.count("\n") == 1 and printed.out == "" and "\0" not in printed.err


@pytest.mark.parametrize(
    "text",
    ['{"a": 1, "a": 2}', "NaN", "[Infinity]", "-Infinity", "1e999", "9" * 5000, "[" * 10**5, "{,}"],
)
def test_json_is_read_in_one_way_only(text, tmp_path):
    (tmp_path / "one.json").write_text(text)
    with pytest.raises(InputError, match="is not JSON") as caught:
        read_json(tmp_path / "one.json")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize("text", ["1_0", "0x10", "nan", "inf", "1e999", "", "1 2", "\uff11", "1,5"])
def test_numbers_in_texts_are_decimals(text):
    with pytest.raises(ValueError, match="is not a number"):
        number_in(text)
    assert [number_in(good) for good in ("12", " -.5", "+3.e-2")] == [12, -0.5, 0.03]


def test_a_truth_value_is_no_number():
    assert not is_number(True) and not is_number(np.True_) and not is_whole(True)
    assert not is_number(float("nan")) and not is_number(10**400) and not is_number("1")
    for wrong in (
        lambda: hypergrid(True, 3),
        lambda: hypergrid(2, 3.0),
        lambda: hypergrid(2, 3, r0=True),
        lambda: bits(True, True),
        lambda: sets(3, True),
        lambda: tree(2, "3"),
        lambda: Sampler(replay=True),
        lambda: Sampler(capacity=2.5),
    ):
        with pytest.raises(InputError):
            wrong()
    assert is_number(np.float32(0.5), 0, 1) and is_whole(3) and not is_whole(3.0)


def test_no_escape_sequence_reaches_a_terminal(capsys):
    ends = "\x1b]0;owned\x07\r\n\u202e\x9b2Jevery certificate holds"
    for command in (
        ["check", ends],
        ["train", "quadratic", "--env", f"dag:{ends}"],
        ["train", "quadratic", "--env", ends],
        ["train", ends, "--env", "hypergrid:2x2"],
        ["train", "quadratic", "--env", "hypergrid:2x2", "--objective", ends],
        ["train", "quadratic", "--env", "hypergrid:2x2", "--sampler", ends],
        ["derive", "quadratic", "--set", ends],
        ["derive", "quadratic", "--assume", ends],
        ["audit", ends, "--residual", "target/model"],
        ["export", "quadratic", "--out", f"/dev/null/{ends}"],
    ):
        assert main(command) == 2
        printed = capsys.readouterr()
        assert printed.err.endswith("\n") and printed.err[:-1].isprintable() and not printed.out
    for command in (
        [ends],
        ["derive", "x", "--" + ends.replace(" ", "")],
        ["derive", "--budget", ends],
    ):
        with pytest.raises(SystemExit) as stop:
            main(command)
        printed = capsys.readouterr()
        assert stop.value.code == 2 and printed.err[:-1].isprintable()


def test_no_name_that_is_printed_does_either(tmp_path, capsys):
    path = tmp_path / "\x1b]0;owned\x07\u202e.py"
    assert main(["export", "quadratic", "--out", str(path)]) == 0 and path.exists()
    assert capsys.readouterr().out.strip("\n").isprintable()


def test_more_than_there_is_is_refused_in_bytes():
    refuse_if_too_large(10**6, "a run", "ask for less")
    with pytest.raises(
        InputError, match="a run needs about 10.40 bytes of memory, and .* is free: ask for less"
    ):
        refuse_if_too_large(10**40, "a run", "ask for less")
    assert 10**6 < free_memory() < 10**15
