"""Exported losses as other libraries take them: each against the exact loss, and trained with
where the library is installed.
"""

import json
import math
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
import torch

from divergence_lab.bridge.export import FORMS, export
from divergence_lab.cli.main import main
from divergence_lab.theory.catalogue.named import LOSSES
from divergence_lab.theory.divergence.loss import loss
from tests.test_export import exported, imported, numpy_as_jax

__all__ = ["numpy_as_jax"]  # a fixture of this file, too

LINEX = "linex(1)"  # not even: a sign slip is seen
RESIDUALS = [-3.0, -0.5, -1e-3, 0.0, 1e-3, 0.5, 3.0]
VALUES = [
    math.expm1(x) - x if abs(x) > 0.01 else x**2 / 2 + x**3 / 6 + x**4 / 24 for x in RESIDUALS
]
SLOPES = [math.expm1(x) for x in RESIDUALS]


def stand_in(monkeypatch, path, **names):
    """Modules of the dotted path, the last with these names."""
    parts = path.split(".")
    for k in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:k]), type(sys)(parts[k - 1]))
    for name, value in names.items():
        setattr(sys.modules[path], name, value)


def assert_is_linex(call, given):
    """call(given) is g(x) with the gradient of it, where given = sign x."""
    sign, tensor = given
    leaf = torch.tensor(tensor, dtype=torch.float64, requires_grad=True)
    answer = call(leaf)
    answer.sum().backward()
    assert answer.tolist() == pytest.approx(VALUES, rel=1e-9, abs=1e-14)
    assert (sign * leaf.grad).tolist() == pytest.approx(SLOPES, rel=1e-9, abs=1e-14)


TURNED = -1, [-x for x in RESIDUALS]


class TrajectoryBalance:
    """As recursionpharma's: `_loss` of log(model/target), by kinds."""

    tb_loss = "MSE"

    def _loss(self, x, loss_fn=None):
        return x * x if loss_fn in (None, "MSE") else abs(x)


def test_recursion_source_turns_the_sign_and_leaves_other_losses(tmp_path, monkeypatch):
    stand_in(monkeypatch, "gflownet.algo.trajectory_balance", TrajectoryBalance=TrajectoryBalance)
    algorithm = imported(exported(LINEX, "recursion"), tmp_path).ExportedTrajectoryBalance()
    assert_is_linex(algorithm._loss, TURNED)
    assert_is_linex(lambda x: algorithm._loss(x, "MSE"), TURNED)
    assert algorithm._loss(torch.tensor([-2.0]), "MAE").item() == 2.0


class GRPOTrainer:
    """As TRL's: the log-probabilities come from a method, k3 is added where beta is not 0."""

    beta, current_gradient_accumulation_steps = 0.5, 2

    def _get_per_token_logps_and_entropies(self, model, *_):
        return model.logps, None, None

    def _compute_loss(self, model, inputs):
        logps, *_ = self._get_per_token_logps_and_entropies(model)
        assert self.beta == 0.0 or type(self) is GRPOTrainer
        return (logps * inputs["completion_mask"]).sum()


def test_trl_source_adds_the_penalty_of_each_token_in_place_of_k3(tmp_path, monkeypatch):
    stand_in(monkeypatch, "trl", GRPOTrainer=GRPOTrainer)
    module = imported(exported(LINEX, "trl"), tmp_path)
    reference = torch.zeros(len(RESIDUALS), dtype=torch.float64)
    assert_is_linex(lambda logps: module.penalty(logps, reference), TURNED)
    trainer, mask = module.ExportedGRPOTrainer(), torch.tensor([[1.0] * 5 + [0.0] * 2])
    logps = torch.tensor([TURNED[1]], dtype=torch.float64, requires_grad=True)
    inputs = {"completion_mask": mask, "ref_per_token_logps": reference[None]}
    model = types.SimpleNamespace(logps=logps, training=True)
    total = trainer._compute_loss(model, inputs)
    plain = (logps * mask).sum()
    assert (total - plain).item() == pytest.approx(0.5 * sum(VALUES[:5]) / 5 / 2, rel=1e-9)
    assert trainer.beta == 0.5 and trainer._compute_loss.__func__ is type(trainer)._compute_loss
    trainer.beta = 0.0
    assert trainer._compute_loss(model, inputs).item() == plain.item()


@pytest.mark.parametrize("form", ["optax", "gfnx"])
def test_optax_and_gfnx_sources_take_predictions_and_targets(form, tmp_path, numpy_as_jax):
    module = imported(exported(LINEX, form), tmp_path)
    predictions = np.linspace(-1, 1, len(RESIDUALS))
    answer = module.exported_loss(predictions, predictions + np.array(RESIDUALS))
    assert answer.tolist() == pytest.approx(VALUES, rel=1e-9, abs=1e-14)
    if form == "optax":
        assert module.exported_loss(-np.array(RESIDUALS)).tolist() == answer.tolist()


@pytest.mark.parametrize("form", [form for form in FORMS if form != "latex"])
def test_every_source_says_what_it_was_verified_for(form):
    source = exported(LINEX, form)
    assert "Verified where 1e-6 <= |x| <= 80" in source and "relative error" in source
    compile(source, "exported.py", "exec")  # syntax only: nothing is run


def test_out_replaces_nothing_that_it_was_not_told_to(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text("precious")
    assert main(["export", "quadratic", "--out", str(path)]) == 2
    assert path.read_text() == "precious" and "--overwrite" in capsys.readouterr().err
    assert main(["export", "quadratic", "--out", str(path), "--overwrite", "--json"]) == 0
    assert path.read_text() == json.loads(capsys.readouterr().out)["source"]


WITH_TEX = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="no TeX here: pdflatex is not found"
)


def assert_compiles(bodies, folder):
    head = "\\documentclass{article}\\usepackage{amsmath}\\begin{document}\n"
    (folder / "loss.tex").write_text(head + "\n".join(bodies) + "\\end{document}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "loss.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (folder / "loss.pdf").stat().st_size > 1000


@WITH_TEX
def test_latex_compiles(tmp_path):
    text = "Piecewise((x**2/2, x < 0), (exp(x) - x - 1, True))"
    assert_compiles([export(loss(text), "latex")], tmp_path)


@WITH_TEX
@pytest.mark.slow
def test_the_latex_of_every_named_loss_compiles(tmp_path):
    filled = [f"{entry.name}({inside})" for entry in LOSSES for inside in entry.examples[:1]]
    names = [entry.name for entry in LOSSES if not entry.parameters]
    more = ["2*polylog(3, -exp(x)) + x/tanh(x)", "Max(x**2, exp(x) - 1)", "erfi(x)*x"]
    assert_compiles([export(text, "latex", 5) for text in [*names, *filled, *more]], tmp_path)


# --- trained with

TARGET = np.array([0.02, 0.08, 0.2, 0.3, 0.4]) * 7.0


def test_a_policy_trained_with_optax_reaches_the_target(tmp_path):
    jax = pytest.importorskip("jax", reason="JAX is not installed: pip install jax")
    optax = pytest.importorskip("optax", reason="optax is not installed: pip install optax")
    module = imported(exported(LINEX, "optax"), tmp_path)
    target, optimiser = jax.numpy.log(jax.numpy.array(TARGET)), optax.adam(0.05)

    def objective(parameters):
        log_pf = parameters["log_z"] + jax.nn.log_softmax(parameters["logits"])
        weights = jax.lax.stop_gradient(jax.numpy.exp(log_pf))
        return (weights * module.exported_loss(log_pf, target)).sum()

    parameters = {"log_z": jax.numpy.zeros(()), "logits": jax.numpy.zeros(5)}
    state = optimiser.init(parameters)
    step = jax.jit(jax.grad(objective))
    for _ in range(400):
        updates, state = optimiser.update(step(parameters), state)
        parameters = optax.apply_updates(parameters, updates)
    law = jax.nn.softmax(parameters["logits"])
    assert np.abs(np.array(law) - TARGET / 7).max() < 1e-3
    assert float(parameters["log_z"]) == pytest.approx(math.log(7), abs=5e-3)


def test_a_gfnx_run_with_an_exported_loss_finds_log_z(tmp_path, monkeypatch):
    for name in ("gfnx", "jax", "optax", "equinox"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install gfnx==0.0.1 optax")
    import optax

    from divergence_lab.bench.peers import gfnx_peer

    module = imported(exported(LINEX, "gfnx"), tmp_path)
    monkeypatch.setattr(optax.losses, "squared_error", module.exported_loss)
    start, iterate = gfnx_peer._run(2, 4, 64, 0.0)
    _, parameters, _ = iterate(start(0), 1500)
    env, env_params = gfnx_peer._env(2, 4)
    true = math.log(float(env.get_normalizing_constant(env_params)))
    assert float(parameters["log_z"]) == pytest.approx(true, abs=0.05)


def test_a_torchgfn_run_with_an_exported_loss_finds_log_z(tmp_path):
    pytest.importorskip("gfn", reason="torchgfn is not installed: pip install torchgfn==2.4.1")
    from gfn.gflownet import TBGFlowNet
    from gfn.samplers import Sampler

    from divergence_lab.bench.peers import torchgfn_peer

    torch.manual_seed(0)
    module = imported(exported(LINEX, "torchgfn"), tmp_path)
    env = torchgfn_peer._env(2, 4, "cpu")
    forward, backward = torchgfn_peer._estimators(env, 0.0)
    model = TBGFlowNet(pf=forward, pb=backward, init_logZ=0.0, loss_fn=module.ExportedLoss())
    optimiser = torch.optim.Adam(model.pf_pb_parameters(), lr=3e-3)
    optimiser.add_param_group({"params": model.logz_parameters(), "lr": 0.1})
    for _ in range(400):
        drawn = Sampler(estimator=forward).sample_trajectories(env, n=64, save_logprobs=True)
        optimiser.zero_grad()
        model.loss(env, drawn, recalculate_all_logprobs=False).backward()
        optimiser.step()
    (log_z,) = model.logz_parameters()
    states = torch.cartesian_prod(torch.arange(4), torch.arange(4))
    true = env.reward(env.States(states)).sum().log().item()
    assert log_z.item() == pytest.approx(true, abs=0.1)


def test_trl_trains_with_an_exported_loss(tmp_path, monkeypatch):
    """A tiny model of four words, from nothing: two steps of GRPO with beta = 1."""
    for name in ("trl", "transformers", "tokenizers", "datasets"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install trl")
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
    from trl import GRPOConfig

    torch.manual_seed(0)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    words = {word: k for k, word in enumerate(["[end]", "[?]", "yes", "no"])}
    raw = Tokenizer(models.WordLevel(words, unk_token="[?]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    tokens = PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="[end]", pad_token="[end]", unk_token="[?]"
    )
    size = GPT2Config(
        vocab_size=4, n_positions=32, n_embd=8, n_layer=1, n_head=1, bos_token_id=0, eos_token_id=0
    )
    folder = tmp_path / "model"
    GPT2LMHeadModel(size).save_pretrained(folder)
    tokens.save_pretrained(folder)
    settings = GRPOConfig(
        str(tmp_path / "out"), beta=1.0, max_steps=2, num_generations=4, max_completion_length=5,
        per_device_train_batch_size=4, learning_rate=0.1, report_to=[], use_cpu=True,
        logging_steps=1,
    )  # fmt: skip
    trainer = imported(exported(LINEX, "trl"), tmp_path).ExportedGRPOTrainer(
        model=str(folder),
        reward_funcs=lambda completions, **_: [float("yes" in text) for text in completions],
        args=settings,
        train_dataset=Dataset.from_dict({"prompt": ["yes no"] * 8}),
        processing_class=tokens,
    )
    before = [part.clone() for part in trainer.model.parameters()]
    trainer.train()
    assert any(
        not torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True)
    )
    assert all(math.isfinite(row["loss"]) for row in trainer.state.log_history if "loss" in row)
