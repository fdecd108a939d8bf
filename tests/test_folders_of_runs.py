"""The folder of a run has one writer at a time, is never overwritten unasked, and keeps nothing of
writers that were killed.
"""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

import divergence_lab as dl
from divergence_lab import outputs, signals
from divergence_lab.cli.main import main
from divergence_lab.inputs import InputError
from divergence_lab.training import checkpoints, loop

LOSSES = {"half square": lambda x: x**2 / 2}
SMALL = {"seeds": 2, "steps": 20, "batch": 4, "evaluations": 4, "progress": False, "device": "cpu"}
COMMAND = ["quadratic", "--env", "hypergrid:2x3", "--steps", "4", "--seeds", "1", "--device", "cpu"]


def trained(folder, **changes):
    return dl.train(LOSSES, dl.hypergrid(2, 3), **{**SMALL, "out": folder, **changes})


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def one_line(capsys, *words):
    """What a command that is refused says on standard error."""
    assert main([*words]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    return said


HOLD = """
import sys, time
from pathlib import Path
from divergence_lab.outputs import held
with held(Path(sys.argv[1]), ["metrics.csv"]):
    print("held", flush=True)
    time.sleep(100)
"""


def test_a_folder_in_use_is_refused_and_free_when_its_writer_is_killed(tmp_path, capsys):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        for words in (("--resume",), ("--overwrite",), ()):
            said = one_line(capsys, "train", *COMMAND, "--out", str(tmp_path / "run"), *words)
            assert "is in use by another process" in said
        several = ("--objective", "tb,db", "--out", str(tmp_path / "run"))
        assert "is in use" in one_line(capsys, "train", *COMMAND, *several)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    finally:
        holder.kill()
        holder.stdout.close()
    assert main(["train", *COMMAND, "--out", str(tmp_path / "run")]) == 0
    assert outputs.LOCK not in content(tmp_path / "run")


def test_one_process_does_not_hold_a_folder_twice_and_gives_it_back(tmp_path):
    with outputs.held(tmp_path, ["a"]):
        with pytest.raises(outputs.OutputError, match="in use"), outputs.held(tmp_path, ["a"]):
            pytest.fail("held twice")
        with outputs.held(tmp_path / "below", ["a"]):
            pass
    with outputs.held(tmp_path, ["a"]):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["below"]


def test_a_run_is_overwritten_only_when_asked(tmp_path, capsys):
    folder = tmp_path / "run"
    trained(folder)
    before = content(folder)
    with pytest.raises(InputError, match=r"holds metrics.csv already.*--resume.*--overwrite"):
        trained(folder)
    with pytest.raises(InputError, match="of another run.*--overwrite"):
        trained(folder, batch=5, resume=True)
    with pytest.raises(InputError, match="choose one"):
        trained(folder, resume=True, overwrite=True)
    with pytest.raises(InputError, match="holds metrics.csv already"):
        dl.save(dl.load(folder), folder)
    assert "--overwrite" in one_line(capsys, "train", *COMMAND, "--out", str(folder))
    assert content(folder) == before
    other = trained(folder, batch=5, overwrite=True)
    assert (dl.load(folder).terminal == other.terminal).all()
    dl.save(other, folder, overwrite=True)
    assert dl.load(folder).config["batch"] == 5


@pytest.mark.parametrize("name", loop.WRITTEN)
def test_a_foreign_file_is_never_overwritten(tmp_path, name):
    for resume in (False, True):
        (tmp_path / name).write_text("mine")
        with pytest.raises(InputError):
            trained(tmp_path, resume=resume)
        assert content(tmp_path) == {name: b"mine"}


def test_several_objectives_go_on_and_overwrite_nothing_else(tmp_path, capsys):
    folder = tmp_path / "both"
    words = ["train", *COMMAND, "--objective", "tb,db", "--out", str(folder)]
    assert main(words) == 0
    assert "--resume" in one_line(capsys, *words)
    assert main([*words, "--resume"]) == 0
    for name in ("config.json", "checksums.json"):  # killed while it wrote the tables of both
        (folder / name).unlink()
    assert main([*words, "--resume"]) == 0
    before = content(folder)
    words[words.index("tb,db")] = "tb,db,fm"
    assert "--overwrite" in one_line(capsys, *words, "--resume")
    words[words.index("tb,db,fm")] = "tb"
    assert "--overwrite" in one_line(capsys, *words, "--resume")
    assert content(folder) == before
    single = ["train", *COMMAND, "--out", str(tmp_path / "single")]
    assert main(single) == 0
    assert "--overwrite" in one_line(capsys, *single, "--objective", "tb,db", "--resume")


def test_what_killed_writers_left_is_swept(tmp_path):
    ours = ("metrics.csv.0123abcd.part", "checkpoint.ptab_cd01x.part")
    for name in (*ours, "film.part", "notes.csv.0123abcd.part"):
        (tmp_path / name).touch()
    trained(tmp_path)
    left = {path.name for path in tmp_path.glob("*.part")}
    assert left == {"film.part", "notes.csv.0123abcd.part"}


def test_a_lone_file_is_replaced_whole_and_a_device_is_written_to(tmp_path):
    path, link = tmp_path / "loss.py", tmp_path / "link.py"
    (tmp_path / "loss.py.0123abcd.part").touch()
    link.symlink_to(path)
    outputs.write_alone(link, b"one")
    outputs.write_alone(path, b"two")
    assert content(tmp_path) == {"loss.py": b"two", "link.py": b"two"} and link.is_symlink()
    with pytest.raises(outputs.OutputError, match="is there already"):  # the second of two writers
        outputs.write_alone(path, b"three", replace=False)
    assert path.read_bytes() == b"two"
    outputs.write_alone(tmp_path / "/dev/null", b"nothing")
    assert not os.path.isfile("/dev/null")
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_ctrl_c_in_a_program_of_ones_own_keeps_a_checkpoint(tmp_path):
    def interrupt(step, steps):
        if 0 < step < steps:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(signals.Stopped, match="stopped at step .* of 20, with a checkpoint in"):
        trained(tmp_path, progress=interrupt)
    assert signal.getsignal(signal.SIGINT) is before
    header, _ = checkpoints.read_file(tmp_path / checkpoints.NAME)
    assert 0 < header["step"] < 20
    whole = dl.train(LOSSES, dl.hypergrid(2, 3), **SMALL)
    assert (trained(tmp_path, resume=True).terminal == whole.terminal).all()
    with pytest.raises(KeyboardInterrupt):  # nothing to keep: at once
        dl.train(LOSSES, dl.hypergrid(2, 3), **{**SMALL, "progress": interrupt})


def test_a_second_signal_is_not_held_back():
    with pytest.raises(KeyboardInterrupt), signals.noted() as came:
        signal.raise_signal(signal.SIGINT)
        assert came == [signal.SIGINT]
        signal.raise_signal(signal.SIGINT)


def test_a_checkpoint_costs_little():
    """BLAKE2b of a hundred megabytes in well under the 30 s between two checkpoints."""
    state = torch.zeros(25_000_000)
    started = time.process_time()
    outputs.checksum(state.numpy().data)
    assert time.process_time() - started < 1.5
