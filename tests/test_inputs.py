"""Files of users are read in every encoding of Unicode that Windows and editors write; what is
none is refused in one line.
"""

import codecs
import io
import json
import sys

import pytest

from divergence_lab.cli.main import main
from divergence_lab.inputs import read_input, read_json

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


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(OSError):
        read_input(tmp_path / "none.txt")
