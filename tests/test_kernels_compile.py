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
from divergence_lab.gflownet.kernels import walk_kernels, walks
from divergence_lab.gflownet.policies.policy import heads, mlp
from divergence_lab.graphs.generated import as_generated
from divergence_lab.graphs.texts import space_from_text
types = dict(
    first="*fp32", first_stride="i64", rest="*fp32", rest_stride="i64", child="*i32", ones="*i32",
    log_reward="*fp32", classes="*i32", uniforms="*fp32", states="*i64", actions="*i64",
    exists="*i8", scratch="*fp32", n_steps="i32", batch="i32", temperature="fp32", epsilon="fp32",
)
for name, depth, width, flows in CASES:
    space = space_from_text(name)
    space = space if name.startswith("generated") else as_generated(space)
    policy = mlp(space, heads=heads(space, learned_back=True), width=width, depth=depth)
    constants = {**walks._shape(policy), "FLOWS": flows}
    constants |= {"BATCH": walks.BATCH, "COLUMNS": walks.COLUMNS}
    compiled(walk_kernels.walk, types, constants, num_warps=4, num_stages=3)
"""
COMPILED = """
import os, re, subprocess, tempfile
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
    reader = os.path.join(os.path.dirname(triton.__file__), "backends/nvidia/bin/cuobjdump")
    if os.path.exists(reader):
        with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
            file.write(made.asm["cubin"])
            file.flush()
            told = subprocess.run([reader, "-res-usage", file.name], capture_output=True, text=True)
        (moved,) = map(int, re.findall(r"STACK:(\\d+)", told.stdout))
        assert moved <= 512, f"{moved} bytes a thread are moved to memory and back"
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
    text = WALKS.replace("CASES", "[('generated:hypergrid:4x20', 1, 20, True)]")
    assert compiles(text, tmp_path).count("compiled") == 1


def test_the_kernel_of_walks_through_a_table_compiles(tmp_path):
    assert compiles(TABLES, tmp_path).count("compiled") == 2


@pytest.mark.slow
def test_the_kernel_of_walks_compiles_in_every_kind_and_size(tmp_path):
    cases = (
        ("hypergrid:4x20:paper", 2, 256, False),  # Figure 3's
        ("hypergrid:4x20:paper", 2, 256, True),
        ("hypergrid:4x8", 3, 512, False),
        ("generated:hypergrid:4x20", 2, 512, False),
        ("generated:bits:12x3", 3, 64, False),
        ("generated:bits:12x3", 1, 128, True),
    )
    assert compiles(WALKS.replace("CASES", repr(cases)), tmp_path).count("compiled") == len(cases)


def test_what_the_compiler_refuses_fails_here(tmp_path):
    """The negative control: a block that is no power of two."""
    wrong = LEVELS.replace('"ACTIONS": 8', '"ACTIONS": 5')
    with pytest.raises(AssertionError, match="power of 2"):
        compiles(wrong, tmp_path)
