"""What `audit` says of a callable where it stands: the nine cells, draws, weights, baselines,
tokens; the presets and their page.
"""

import ast
import importlib
import importlib.util
import json
import shlex
import types
from pathlib import Path

import pytest
import torch

from divergence_lab.audit import AuditError, audit
from divergence_lab.audit.presets.named import PRESETS, find_preset, listed
from divergence_lab.audit.presets.table import row_of
from divergence_lab.audit.subjects import as_callable
from divergence_lab.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
NEAR = (-8, 8)


def k1(r):
    return -r


def k2(r):
    return r**2 / 2


def k3(r):
    return r.exp() - r - 1


def k3_of_two(log_pb, log_pf):
    return k3(log_pb - log_pf)


CELLS = {
    ("loss", k1): (None, None),
    ("loss", k2): ("x**2/2", "reverse KL"),
    ("loss", k3): ("exp(x) - x - 1", "forward KL"),
    ("reward", k1): ("x**2/2", "reverse KL"),
    ("reward", k2): ("-x**3/6", None),
    ("reward", k3): ("x**2/2 + x - exp(x) + 1", None),
    ("weighted", k1): ("x**2/2", "reverse KL"),
    ("weighted", k2): ("x**2/2 - x**3/6", None),
    ("weighted", k3): ("x**2/2", "reverse KL"),
}


SLOW = {("loss", k2), ("reward", k2), ("weighted", k1), ("weighted", k2)}


@pytest.mark.parametrize(
    "placement, term",
    [pytest.param(*cell, marks=pytest.mark.slow if cell in SLOW else ()) for cell in CELLS],
)
def test_the_nine_cells(placement, term):
    found = audit(term, placement=placement, range=NEAR)
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (found.effective_loss, found.divergence) == CELLS[placement, term]
    assert document["placement"] == placement
    assert document["zero_gradient"] is ((placement, term) == ("loss", k1))
    assert (document["because"] is None) is (found.divergence is not None)
    assert found.max_gradient_error is None or found.max_gradient_error < 1e-12


ELSE = [
    (k3_of_two, {"placement": "weighted"}, "x**2/2", "reverse KL", None),
    (k2, {"clip_ratio": (0.8, 1.2)}, None, None, "older policy"),
    (k1, {"placement": "reward", "per": "token"}, "x**2/2", "reverse KL", None),
    (k2, {"placement": "reward", "per": "token"}, None, None, "before it"),
]
MORE = [
    (k1, {"sampler": "backward"}, "x - exp(x) + 1", None, "p_B/p_F"),
    (k2, {"clip_ratio": (0, float("inf"))}, "x**2/2", "reverse KL", None),
    (k1, {"placement": "weighted", "baseline": "mean:8"}, "7*x**2/16", "reverse KL", None),
    (k3, {"per": "token"}, "exp(x) - x - 1", "forward KL", None),
    (
        k1,
        {"placement": "reward", "sampler": "backward", "baseline": "mean"},
        None,
        None,
        "baseline",
    ),
]


@pytest.mark.parametrize(
    "term, words, loss, divergence, told",
    [*ELSE, *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE)],
)
def test_what_else_decides(term, words, loss, divergence, told):
    found = audit(term, range=NEAR, **words)
    assert (found.effective_loss, found.divergence) == (loss, divergence)
    if told is None:
        assert found.because is None
    else:
        assert told in found.because


def test_clipped_weights_of_draws_from_the_target_are_another_loss():
    found = audit(k2, sampler="backward", clip_ratio=(0, 2), range=NEAR)
    assert "log(2)" in found.effective_loss and found.max_gradient_error < 1e-12
    assert found.zero_forcing.holds is False  # g' = 2 x e^x beyond -log 2: it falls off


@pytest.mark.slow
def test_the_mean_of_a_batch_leaves_some_forward_kl_in_a_weighted_k3():
    found = audit(k3, placement="weighted", baseline="mean", range=NEAR)
    assert "K" in str(found.effective_loss) and found.divergence is None
    assert found.zero_avoiding.holds is True and found.zero_forcing.holds is True


def test_a_weighted_exponential_has_no_gradient_though_rounding_hides_it():
    found = audit(torch.exp, placement="weighted", range=NEAR)
    assert found.zero_gradient and found.divergence is None and "constant" in found.because


def test_the_sign_of_a_penalty_counts():
    """Fed the other sign, k1 in the reward climbs away: no mirror of its loss, which is even."""
    found = audit(lambda r: r, residual="target/model", placement="reward", range=NEAR)
    assert found.divergence is None and found.because
    assert found.under_the_other_sign.divergence == "reverse KL"


def test_a_penalty_needs_no_gradient():
    def penalty(r):
        with torch.no_grad():
            return -r

    assert audit(penalty, placement="reward", range=NEAR).divergence == "reverse KL"
    with pytest.raises(AuditError, match="no gradient"):
        audit(penalty, range=NEAR)


def test_a_batch_that_centres_itself_stands_in_the_loss():
    with pytest.raises(AuditError, match="--placement"):
        audit(lambda r: ((r - r.mean()) ** 2).mean(), placement="reward", range=NEAR)


# --- presets


def test_every_preset_says_where_it_was_read():
    names = [row["name"] for row in listed()]
    assert len(set(names)) == len(names) >= 25
    assert {row["library"] for row in listed()} >= {"torchgfn", "gfnx", "trl", "verl", "OpenRLHF"}
    assert all(row["version"] and row["source"] and row["formula"] for row in listed())


def test_a_misspelt_preset_gets_the_nearest_name():
    with pytest.raises(AuditError, match=r"did you mean 'trl/grpo'"):
        find_preset("preset:trl/grppo")


PAGE = ROOT / "docs" / "libraries.md"
QUICK = ("trl/grpo", "verl/kl-loss-k1")


@pytest.mark.parametrize(
    "preset",
    [
        pytest.param(one, id=one.name, marks=() if one.name in QUICK else pytest.mark.slow)
        for one in PRESETS
    ],
)
def test_the_page_shows_what_the_audit_finds(preset):
    assert row_of(preset, audit(f"preset:{preset.name}")) in PAGE.read_text().splitlines()


FAR = torch.linspace(-15, 15, 61, dtype=torch.float64)


def slopes_of(call):
    """(values, slopes) of a callable of r, at FAR."""
    r = FAR.clone().requires_grad_()
    values = call(r)
    return values.detach().double(), torch.autograd.grad(values.sum(), r)[0]


def assert_same(mine, theirs):
    for one, other in zip(slopes_of(mine), slopes_of(theirs), strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("preset", [one for one in PRESETS if one.real], ids=lambda one: one.name)
def test_a_preset_is_its_library_where_that_is_installed(preset):
    module, _, name = preset.real.partition(":")
    library = pytest.importorskip(module, reason=f"{preset.library} is not installed")
    name, _, arguments = name.partition("(")
    call = getattr(library, name)
    if module.startswith("optax"):
        jax = importlib.import_module("jax")
        zero = torch.zeros_like(FAR).float().numpy()
        theirs = jax.vmap(jax.grad(call))(FAR.float().numpy(), zero)
        assert torch.allclose(
            torch.tensor(theirs.tolist()), slopes_of(preset.call)[1].float(), rtol=1e-5
        )
    elif preset.pair:
        options = dict(word.split("=") for word in preset.pair[2:])
        options = {key: {"True": True}.get(value, value) for key, value in options.items()}
        assert_same(preset.call, lambda r: call(r, torch.zeros_like(r), **options))
    else:
        given = ((float(arguments[:-1]),), {}) if arguments else None
        assert_same(preset.call, as_callable(call, name, given))


# file of trl, the names that its lines give a value to, how many of those lines are run
LINES_OF_TRL = {
    "trl/grpo": ("trainer/grpo_trainer.py", ("per_token_kl",), 1),
    "trl/grpo-bias-corrected": ("trainer/grpo_trainer.py", ("per_token_kl",), 2),
    "trl/ppo": ("experimental/ppo/ppo_trainer.py", ("logr", "kl"), 2),
    "trl/ppo-k3": ("experimental/ppo/ppo_trainer.py", ("logr", "kl"), 2),
    "trl/rloo": ("trainer/rloo_trainer.py", ("per_token_kl",), 1),
}


@pytest.mark.parametrize("name", LINES_OF_TRL)
def test_a_preset_is_what_the_lines_of_trl_compute(name):
    """TRL's terms are no functions: the lines that compute them are cut out and run."""
    found = importlib.util.find_spec("trl")
    if found is None:
        pytest.skip("trl is not installed")
    file, names, count = LINES_OF_TRL[name]
    path = Path(found.origin).parent / file
    if not path.is_file():
        pytest.skip(f"this trl has no {file}")
    lines = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) in names
    ]
    code = compile(ast.Module(lines[:count], []), str(path), "exec")
    preset = find_preset(name)

    def theirs(r):  # r = log(reference/policy)
        policy, reference = -r, torch.zeros_like(r)
        told = {
            "torch": torch,
            "args": types.SimpleNamespace(kl_estimator=name[-2:] if name[-2:] == "k3" else "k1"),
            "coef_1": (policy - policy.detach()).exp(),
            **dict.fromkeys(("per_token_logps", "old_per_token_logps", "logprobs"), policy),
            **dict.fromkeys(("ref_per_token_logps", "ref_logprobs"), reference),
        }
        exec(code, told)
        return told[names[-1]]

    def mine(r):
        ratio = (r.detach() - r).exp() if preset.placement == "weighted" else 1
        return ratio * preset.call(r)

    assert_same(mine, theirs)


def test_the_command_lists_and_audits_presets(capsys):
    assert main(shlex.split("audit --presets")) == 0
    assert "preset:trl/grpo" in capsys.readouterr().out
    assert main(shlex.split("audit preset:verl/kl-loss-k1 --range -8,8")) == 0
    assert "because" in capsys.readouterr().out
    assert main(shlex.split("audit my_losses:k3")) == 2
    assert "--residual" in capsys.readouterr().err
