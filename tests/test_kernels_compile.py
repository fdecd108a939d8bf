"""Every kernel compiles for a GPU, where Triton can do that without one: its interpreter accepts
what its compiler refuses.
"""

import os
import subprocess
import sys

import pytest

from tests.kernel_graphs import needs_triton

pytestmark = needs_triton

LEVELS = """
import torch
from divergence_lab.gflownet.kernels.level_kernels import NUMBERS, backward_level, forward_level
pointers = {"addresses": "*i64", "child": "*i32", "incoming": "*i32"}
sizes = {"low": "i32", "count": "i32", "n_states": "i32", "n_actions": "i32", "n_parents": "i32"}
for number in NUMBERS.values():
    constants = {"NUMBER": number, "ACTIONS": 8, "PARENTS": 4, "BLOCK": 128}
    compiled(forward_level, {**pointers, **sizes}, constants)
    compiled(backward_level, {**pointers, **sizes}, constants)
"""
TABLES = """
from divergence_lab.gflownet.kernels.walk_kernels import walk_table
for number in ("fp32", "fp64"):
    types = dict(cumulative="*" + number, next_state="*i64", uniforms="*" + number, index="*i64")
    types |= dict.fromkeys(("n_steps", "batch", "n_columns", "n_chances"), "i32")
    compiled(walk_table, types, {"ACTIONS": 8, "BATCH": 128})
"""
ADAM = """
from divergence_lab.gflownet.kernels.adam_kernels import sums_of_squares, update
singles = ("gradient", "values", "mean", "square", "count", "rates", "moves")
doubles = ("sums", "max_norm", "shrink", "beta_1", "beta_2", "epsilon")
types = {**dict.fromkeys(singles, "*fp32"), **dict.fromkeys(doubles, "*fp64"), "size": "i32"}
compiled(sums_of_squares, types, {"BLOCK": 2048})
compiled(update, types, {"BLOCK": 2048, "SUMS": 64})
compiled(update, {**types, "rates": "*fp64"}, {"BLOCK": 2048, "SUMS": 8192})
"""
WALKS = """
from divergence_lab.gflownet.kernels.walk_kernels import GRID, NUMBER, WORDS, walk
types = dict(
    first="*fp32", first_stride="i64", rest="*fp32", rest_stride="i64", child="*i32", ones="*i32",
    log_reward="*fp32", classes="*i32", uniforms="*fp32", states="*i64", actions="*i64",
    exists="*i8", scratch="*fp32", n_steps="i32", batch="i32", temperature="fp32", epsilon="fp32",
)
for kind, depth, width in CASES:
    constants = dict(
        N_ACTIONS=5, N_ROWS=6, VALUES=3 if kind == WORDS else 20, DEPTH=depth, WIDTH=width,
        COORDINATES=2 if kind == WORDS else 4, FLOWS=True, KIND=kind, ACTIONS=16,
        SLOTS=1 if kind == NUMBER else 16, WIDE=max(32, 1 << (width - 1).bit_length()), COLUMNS=32,
        BATCH=16,
    )
    compiled(walk, types, constants, num_warps=4, num_stages=1 if width > 256 else 3)
"""
COMPILED = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

def compiled(kernel, types, constants, **options):
    names = kernel.arg_names
    constants = {name: constants[name] for name in names if name in constants}
    types = {name: "constexpr" if name in constants else types[name] for name in names}
    source = ASTSource(fn=kernel, signature=types, constexprs=constants)
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    assert made.metadata.shared <= 227 * 1024, f"{made.metadata.shared} bytes of shared memory"
    print("compiled", kernel.__name__, made.metadata.shared)
"""


def compiles(text, tmp_path):
    """What it printed; skipped where Triton cannot compile at all."""
    known = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    known.pop("TRITON_INTERPRET", None)
    if "CUDA_VISIBLE_DEVICES" in known and not known.get("DIVERGENCE_LAB_TESTS_ON_GPU"):
        known["CUDA_VISIBLE_DEVICES"] = ""
    done = subprocess.run(
        [sys.executable, "-c", COMPILED + text], capture_output=True, text=True, env=known
    )
    if done.returncode and any(word in done.stderr for word in ("ptxas", "C compiler")):
        pytest.skip(f"Triton cannot compile here: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_kernels_of_laws_compile(tmp_path):
    assert compiles(LEVELS, tmp_path).count("compiled") == 4


def test_the_kernels_of_adam_compile(tmp_path):
    assert compiles(ADAM, tmp_path).count("compiled") == 3


def test_the_kernel_of_walks_compiles(tmp_path):
    text = WALKS.replace("CASES", "[(GRID, 1, 20)]")
    assert compiles(text, tmp_path).count("compiled") == 1


def test_the_kernel_of_walks_through_a_table_compiles(tmp_path):
    assert compiles(TABLES, tmp_path).count("compiled") == 2


@pytest.mark.slow
def test_the_kernel_of_walks_compiles_in_every_kind_and_size(tmp_path):
    cases = "[(NUMBER, 2, 256), (NUMBER, 3, 512), (GRID, 2, 512), (WORDS, 3, 64), (WORDS, 1, 128)]"
    assert compiles(WALKS.replace("CASES", cases), tmp_path).count("compiled") == 5


def test_what_the_compiler_refuses_fails_here(tmp_path):
    """The negative control: a block that is no power of two."""
    wrong = LEVELS.replace('"ACTIONS": 8', '"ACTIONS": 5')
    with pytest.raises(AssertionError, match="power of 2"):
        compiles(wrong, tmp_path)
