"""Ways in which a file can be damaged: by a disk, by a person, by somebody who means harm."""

import json
import os
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path

RAN = "DIVERGENCE_LAB_PAYLOAD_RAN"


class Payload:
    """Reading it as a pickle would set a variable of the environment."""

    def __reduce__(self):
        return os.putenv, (RAN, "1")


# --- of the bytes: content, chance -> content


def flip_a_bit(content, chance):
    place, changed = chance.randrange(len(content)), bytearray(content)
    changed[place] ^= 1 << chance.randrange(8)
    return bytes(changed)


def flip_a_bit_of_the_head(content, chance):
    return flip_a_bit(content[:400], chance) + content[400:]


def cut_off(content, chance):
    return content[: chance.randrange(len(content))]


def append(content, chance):
    return content + chance.choice([b"\0", b"\n", content, chance.randbytes(50)])


def cut_out(content, chance):
    first, last = sorted(chance.choices(range(len(content) + 1), k=2))
    return content[:first] + content[last:]


def zero_a_block(content, chance):
    place = chance.randrange(len(content))
    return content[:place] + bytes(min(64, len(content) - place)) + content[place + 64 :]


def swap_blocks(content, chance):
    a, b, c = sorted(chance.choices(range(len(content) + 1), k=3))
    return content[:a] + content[b:c] + content[a:b] + content[c:]


def copy_a_row(content, chance):
    rows = content.splitlines(keepends=True)
    rows[chance.randrange(len(rows))] = chance.choice(rows)
    return b"".join(rows)


def change_a_number(content, chance):
    digits = [place for place, byte in enumerate(content) if chr(byte).isdigit()]
    if not digits:
        return content
    place = chance.choice(digits)
    return content[:place] + str(chance.randrange(10)).encode() + content[place + 1 :]


def write_nan(content, chance):
    place = chance.randrange(max(1, len(content) - 8))
    word = chance.choice([b"NaN", b"nan", b"\0\0\xc0\x7f", b"\0\0\0\0\0\0\xf8\x7f", b"Infinity"])
    return content[:place] + word + content[place + len(word) :]


def other_json(content, chance):
    deep = "[" * 100_000 + "]" * 100_000
    return chance.choice(
        ["[]", "null", "3", "{}", "true", '"text"', "NaN", "1e999", "9" * 5000, "{", "", deep]
    ).encode()


def other_value(content, chance):
    """One value of a JSON document is another."""
    try:
        document = json.loads(content)
        key = chance.choice([*document])
        document[key] = chance.choice([None, [], {}, 3, -1, "x", True, 1e400, [[]], 2**80])
        return json.dumps(document).encode()
    except (ValueError, TypeError, IndexError):
        return b"{}"


def pickled(content, chance):
    return pickle.dumps(Payload())


def random_bytes(content, chance):
    return chance.randbytes(chance.choice([1, 10, 1000, len(content)]))


def other_encoding(content, chance):
    return content.decode("latin-1").encode(chance.choice(["utf-16", "utf-8-sig", "utf-32"]))


OF_BYTES = (
    flip_a_bit,
    flip_a_bit_of_the_head,
    cut_off,
    append,
    cut_out,
    zero_a_block,
    swap_blocks,
    copy_a_row,
    change_a_number,
    write_nan,
    other_json,
    other_value,
    pickled,
    random_bytes,
    other_encoding,
)


# --- of the file: path, chance


def missing(path, chance):
    path.unlink()


def folder(path, chance):
    path.unlink()
    path.mkdir()


def pipe(path, chance):
    path.unlink()
    os.mkfifo(path)


def device(path, chance):
    path.unlink()
    path.symlink_to(chance.choice(["/dev/zero", "/dev/null", "/dev/random", "/proc/self/mem"]))


def endless_link(path, chance):
    path.unlink()
    path.symlink_to(path.name)


def ten_gigabytes(path, chance):
    os.truncate(path, 10 * 2**30)


def other_file(path, chance):
    others = [one for one in sorted(path.parent.iterdir()) if one != path and one.is_file()]
    shutil.copyfile(chance.choice(others), path)


def extra_files(path, chance):
    for name in (".lock", "notes.txt", f"{path.name}.0123abcd.part", f"{path.name}.bak"):
        (path.parent / name).write_bytes(b"\0")


OF_FILES = (missing, folder, pipe, device, endless_link, ten_gigabytes, other_file, extra_files)


def ways() -> dict[str, Callable[[Path, random.Random], None]]:
    """name -> damages the file in its place."""

    def rewriting(change):
        return lambda path, chance: path.write_bytes(change(path.read_bytes(), chance))

    of_bytes = {change.__name__: rewriting(change) for change in OF_BYTES}
    return {**of_bytes, **{change.__name__: change for change in OF_FILES}}
