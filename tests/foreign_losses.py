"""Losses in the manner of public code, right ones and faulty ones, with the answer known: g' of
each as shipped, its class, and what is wrong with it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Foreign:
    """`slope`: g' as shipped, in x = log p_B - log p_F, without its straight part (None: of no
    family; it must not be named); `forcing`, `avoiding`: of the loss as shipped; `divergence`: the
    name of the effective loss's, "" where it has none, "?" where that does not matter; `kinds`:
    exactly the problems that must be told.
    """

    name: str
    call: Callable[..., Any]
    slope: Callable[[np.ndarray], np.ndarray] | None
    forcing: bool
    avoiding: bool
    divergence: str = ""
    kinds: tuple[str, ...] = ()
    residual: str = "target/model"
    options: dict[str, Any] = field(default_factory=dict)


MODEL = "model/target"
R, F_KL, N = "reverse KL", "forward KL", "Neyman chi-square"
DEAD, OTHER, KINK = "dead_gradient", "class_changed", "not_differentiable"
SHIFT, LOST, INF, WRONG = ("not_zero_at_zero", "cancellation", "not_finite", "wrong_sign_gradient")
clip = np.clip


def line(x):
    return x


# --- trajectory balance and its kin


def tb(log_z, log_pf, log_reward, log_pb):
    return (log_z + log_pf - log_reward - log_pb).pow(2)


def tb_mean(log_pf, log_pb):
    return F.mse_loss(log_pf, log_pb)


def tb_masked(log_pf, log_pb, mask):
    return ((log_pf - log_pb).pow(2) * mask).sum() / mask.sum()


def tb_rows(log_pf, log_pb, mask):
    score = ((log_pf - log_pb) * mask).sum(-1)
    return (score**2).mean()


def vargrad(score):
    return ((score - score.mean().detach()) ** 2).mean()


def vargrad_two_sided(score):
    return score.var(unbiased=True)


def huber_with_a_bug(x, delta=3.0):
    return torch.where(x < delta, x**2 / 2, delta * (x - delta / 2))


def clamped_score(x):
    return x.clamp(-50, 50) ** 2


def clipped_loss(x):
    return torch.clamp(x**2, max=100.0)


def clipped_surrogate(x):
    return (x.detach().clamp(-10, 10) * x).sum()


def dead_zone(x):
    return F.relu(x.abs() - 0.25) ** 2


def hinge(x, margin=2.0):
    return F.relu(margin - x)


def squared_hinge(x):
    return F.relu(1 - x) ** 2


def one_sided(x):
    return F.relu(x) ** 2


def epsilon_insensitive(x):
    return F.relu(x.abs() - 0.5)


# --- KL terms


def k3(logp, ref):
    d = ref - logp
    return d.exp() - d - 1


def k3_clamped(logp, ref):
    d = torch.clamp(ref - logp, -20, 20)
    return torch.clamp(d.exp() - d - 1, -10, 10)


def k3_late_clamp(logp, ref):
    d = ref - logp
    return torch.clamp(d.exp() - d - 1, max=1e4)


def bias_corrected(logp, ref):
    d = ref - logp
    return torch.exp(logp - logp.detach()) * (d.exp() - d - 1)


def k2(logp, ref):
    return (0.5 * (logp - ref) ** 2).mean()


def k2_capped(logp, ref):
    return (0.5 * (logp - ref) ** 2).clamp(max=10)


def straight_through(logp, ref):
    k2_term = 0.5 * (logp - ref) ** 2
    d = ref - logp
    return k2_term - k2_term.detach() + (d.exp() - d - 1).detach()


def absolute(logp, ref):
    return (logp - ref).abs()


def tempered(logp, ref, temperature=4.0):
    d = (ref - logp) / temperature
    return d.exp() - d - 1


def jeffreys_like(x):
    return x**2 / 2 + x.exp() - x - 1


# --- preference losses


def dpo(x, beta=0.5):
    return -F.logsigmoid(beta * x)


def ipo(x, beta=0.25):
    return (x - 1 / (2 * beta)) ** 2


def kto(x):
    return 1 - torch.sigmoid(x)


def robust_dpo(x, eps=0.1):
    return -(1 - eps) * F.logsigmoid(x) + eps * F.logsigmoid(-x)


# --- robust statistics


class Barron(nn.Module):
    def __init__(self, alpha, scale):
        super().__init__()
        self.alpha, self.scale = alpha, scale

    def forward(self, x):
        size = abs(self.alpha - 2)
        z = (x / self.scale) ** 2 / size + 1
        return size / self.alpha * (z ** (self.alpha / 2) - 1)


def barron_slope(a, c):
    return lambda x: x / c**2 * ((x / c) ** 2 / abs(a - 2) + 1) ** (a / 2 - 1)


def tukey(x, c=4.0):
    inside = c**2 / 6 * (1 - (1 - (x / c) ** 2) ** 3)
    return torch.where(x.abs() <= c, inside, torch.full_like(x, c**2 / 6))


def tukey_slope(x, c=4.0):
    return np.where(np.abs(x) <= c, x * (1 - (x / c) ** 2) ** 2, 0.0)


def hampel(x):
    a = x.abs()
    middle = 2 * a - 2
    falling = 4 + 2 * ((a - 3) - (a - 3) ** 2 / 4)
    return torch.where(
        a < 2, x**2 / 2, torch.where(a < 3, middle, torch.where(a < 5, falling, 6 + 0 * a))
    )


def hampel_slope(x):
    a = np.abs(x)
    size = np.where(a < 2, a, np.where(a < 3, 2.0, np.where(a < 5, 2 - (a - 3), 0.0)))
    return np.sign(x) * size


def huber_of_two(x):
    return torch.where(x < -1, -x - 0.5, torch.where(x > 2, 2 * x - 2, x**2 / 2))


def wing(x, width=10.0, curve=2.0):
    constant = width - width * math.log(1 + width / curve)
    a = x.abs()
    return torch.where(a < width, width * torch.log(1 + a / curve), a - constant)


def quantile(x, tau=0.8):
    return torch.maximum(tau * x, (tau - 1) * x)


def expectile(x, tau=0.8):
    return torch.where(x > 0, tau, 1 - tau) * x**2


def redescending_right(x):
    return torch.where(x < 1, x**2 / 2, 1.5 * torch.log1p(x.clamp(min=1) ** 2 / 2))


def bump(x):
    return torch.where((x > 2) & (x < 3), 5 * x, x**2 / 2)


def narrow_bump(x):
    return torch.where((x > 50) & (x < 50.3), 100 * x, x**2 / 2)


def left_straight(x):
    return torch.where(x > -0.5, x.exp() - x - 1, math.expm1(-0.5) * x)


class WrongBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.exp() - x - 1

    @staticmethod
    def backward(ctx, out):
        (x,) = ctx.saved_tensors
        return out * torch.expm1(x.clamp(max=4.0))


class Module(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def forward(self, log_ratio):
        if self.kind == "hub":
            a = log_ratio.abs()
            return torch.where(a < 1, 0.5 * log_ratio**2, a - 0.5)
        if self.kind == "ghl":
            return torch.logaddexp(log_ratio, -log_ratio) - math.log(2)
        return log_ratio * log_ratio


def in_place(x):
    x *= 2
    x -= 0
    return x**2 / 8


def by_dict(x):
    return {"loss": (x**2 / 2).mean(), "log": float(x.detach().mean())}


def inner_float(x):
    return (x.float() ** 2 / 2).sum()


# --- a second set: bent backwards, small extra terms, other people's calling conventions


class AnotherBackward(torch.autograd.Function):
    """The value of k2, the gradient of k3."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2 / 2

    @staticmethod
    def backward(ctx, out):
        (x,) = ctx.saved_tensors
        return out * torch.expm1(x)


def shifted_by_its_size(x):
    shift = x.detach().clamp(min=0)
    return (torch.exp(x - shift) - torch.exp(-shift)) * torch.exp(shift) - x


def with_extra(low, high, share):
    """x^2/2, more by a share of it on low < x < high."""
    return lambda x: torch.where((x > low) & (x < high), (1 + share) * x**2 / 2, x**2 / 2)


def extra_slope(low, high, share):
    return lambda x: np.where((x > low) & (x < high), (1 + share) * x, x)


def k3_with_extra(x):
    return torch.where((x > 4) & (x < 4.5), x.exp() * 1.01 - x, x.exp() - x)


def by_name(*, log_ratio, delta):
    return F.huber_loss(log_ratio, torch.zeros_like(log_ratio), reduction="none", delta=delta)


def one_name_is_ours(log_pb, log_model):
    d = log_pb - log_model
    return d.exp() - d - 1


def k3_of_rows(log_pf, log_pb, mask):
    d = log_pb - log_pf
    return (((d.exp() - d - 1) * mask).sum(1) / mask.sum(1).clamp(min=1)).mean()


class Outer(nn.Module):
    def __init__(self, beta):
        super().__init__()
        self.inner = nn.SmoothL1Loss(reduction="none", beta=beta)

    def forward(self, log_pf, log_pb):
        return self.inner(log_pf, log_pb)


def chain_in_place(x):
    x.mul_(2).clamp_(-6, 6)
    return x**2 / 8


def cross_entropy(x):
    logits, target = torch.stack([x, torch.zeros_like(x)], -1), torch.zeros(len(x)).long()
    return F.cross_entropy(logits, target, reduction="none", label_smoothing=0.1)


def ppo(log_pf, log_pb):
    ratio, advantage = (log_pf - log_pf.detach()).exp(), (log_pb - log_pf).detach()
    return -torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)


def reinforce(log_pf, log_pb):
    return (log_pf - log_pb).detach() * log_pf


def clamped_logs(log_pf, log_pb):
    return (log_pf.clamp(min=-40) - log_pb.clamp(min=-40)) ** 2 / 2


slope_by_grad = torch.func.vmap(torch.func.grad(lambda v: v.exp() - v - 1))
two_kinds = torch.func.vmap(lambda v: torch.where(v > 0, v.exp() - v - 1, v**2 / 2))

LOSSES: list[Foreign] = [
    Foreign("tb", tb, lambda x: 2 * x, True, False, R, residual=MODEL),
    Foreign("tb_mean", tb_mean, lambda x: 2 * x, True, False, R, residual=MODEL),
    Foreign("tb_masked", tb_masked, lambda x: 2 * x, True, False, R, residual=MODEL),
    Foreign("tb_rows", tb_rows, lambda x: 2 * x, True, False, R, residual=MODEL),
    Foreign("vargrad", vargrad, lambda x: 2 * x, True, False, R),
    Foreign("variance", vargrad_two_sided, lambda x: 2 * x, True, False, R),
    Foreign("in_place", in_place, line, True, False, R),
    Foreign("by_dict", by_dict, line, True, False, R),
    Foreign("compiled", torch.compile(lambda x: x**2 / 2, backend="eager"), line, True, False, R),
    Foreign("inner_float", inner_float, line, True, False, R),
    Foreign("mse", Module("mse"), lambda x: 2 * x, True, False, R, residual=MODEL),
    Foreign("huber", Module("hub"), lambda x: clip(x, -1, 1), False, False),
    Foreign("log_cosh", Module("ghl"), np.tanh, False, False),
    Foreign("huber_bug", huber_with_a_bug, lambda x: clip(x, None, 3), True, False, R, (OTHER,)),
    Foreign(
        "smooth_l1",
        F.smooth_l1_loss,
        lambda x: clip(x / 0.25, -1, 1),
        False,
        False,
        options={"bind": {"beta": 0.25}},
    ),
    Foreign(
        "tiny_huber",
        nn.HuberLoss(delta=0.001),
        lambda x: clip(x, -0.001, 0.001),
        False,
        False,
        residual=MODEL,
    ),
    Foreign(
        "clamped_score",
        clamped_score,
        lambda x: np.where(np.abs(x) < 50, 2 * x, 0),
        False,
        False,
        R,
        (DEAD, OTHER),
    ),
    Foreign(
        "clipped_loss",
        clipped_loss,
        lambda x: np.where(np.abs(x) < 10, 2 * x, 0),
        False,
        False,
        R,
        (DEAD, OTHER),
    ),
    Foreign(
        "clipped_surrogate",
        clipped_surrogate,
        lambda x: clip(x, -10, 10),
        False,
        False,
        "",
        (OTHER,),
    ),
    Foreign(
        "dead_zone",
        dead_zone,
        lambda x: 2 * np.sign(x) * np.maximum(np.abs(x) - 0.25, 0),
        True,
        False,
        "",
        (DEAD,),
    ),
    Foreign(
        "hinge",
        hinge,
        lambda x: (x > 2) * 1.0,
        False,
        False,
        "hockey-stick with gamma = exp(2)",
        (DEAD, SHIFT),
    ),
    Foreign(
        "squared_hinge",
        squared_hinge,
        lambda x: 2 * clip(x, None, 1),
        True,
        False,
        R,
        (SHIFT, OTHER),
    ),
    Foreign("one_sided", one_sided, lambda x: 2 * clip(x, 0, None), False, False, "", (DEAD,)),
    Foreign(
        "epsilon_insensitive",
        epsilon_insensitive,
        lambda x: np.sign(x) * (np.abs(x) > 0.5),
        False,
        False,
        "",
        (DEAD,),
    ),
    # KL terms
    Foreign("k3", k3, np.expm1, False, True, F_KL, residual=MODEL),
    Foreign(
        "k3_flipped",
        k3,
        lambda x: -np.expm1(-x),
        True,
        False,
        N,
        options={"feed": ("log_pb", "log_pf")},
    ),
    Foreign(
        "k3_clamped",
        k3_clamped,
        lambda x: np.where(np.expm1(clip(x, -20, 20)) - x < 10, np.expm1(x), 0) * (x > -10.9999546),
        False,
        False,
        F_KL,
        (DEAD, OTHER),
        MODEL,
    ),
    Foreign(
        "k3_late_clamp",
        k3_late_clamp,
        lambda x: np.where(np.exp(clip(x, None, 20)) - x - 1 <= 1e4, np.expm1(x), 0),
        False,
        False,
        F_KL,
        (DEAD, OTHER),
        MODEL,
        {"range": (-100.0, 30.0)},
    ),
    Foreign("bias_corrected", bias_corrected, line, True, False, R, (LOST, DEAD), MODEL),
    Foreign("k2", k2, line, True, False, R, residual=MODEL),
    Foreign(
        "k2_capped",
        k2_capped,
        lambda x: np.where(x**2 / 2 <= 10, x, 0),
        False,
        False,
        R,
        (DEAD, OTHER),
        MODEL,
    ),
    Foreign("straight_through", straight_through, line, True, False, R, residual=MODEL),
    Foreign("absolute", absolute, np.sign, False, False, "total variation", residual=MODEL),
    Foreign("tempered", tempered, lambda x: np.expm1(x / 4) / 4, False, False, "?", residual=MODEL),
    Foreign("jeffreys_like", jeffreys_like, lambda x: x + np.expm1(x), True, True, "Jeffreys"),
    Foreign("exp", torch.exp, np.expm1, False, True, F_KL, (SHIFT,)),
    Foreign(
        "custom",
        WrongBackward.apply,
        lambda x: np.expm1(clip(x, None, 4)),
        False,
        False,
        F_KL,
        (OTHER,),
    ),
    Foreign(
        "mixed",
        lambda x: 0.25 * x**2 / 2 + 0.75 * (x.exp() - x - 1),
        lambda x: 0.25 * x + 0.75 * np.expm1(x),
        True,
        True,
    ),
    Foreign(
        "of_three",
        lambda x: x**2 / 2 + 0.2 * x.abs() + 0.5 * (x.exp() - x - 1),
        lambda x: x + 0.2 * np.sign(x) + 0.5 * np.expm1(x),
        True,
        True,
    ),
    # preferences
    Foreign("dpo", dpo, lambda x: 0.25 * np.tanh(x / 4), False, False, "?", (SHIFT,)),
    Foreign("ipo", ipo, lambda x: 2 * x, True, False, R, (SHIFT,)),
    Foreign("robust_dpo", robust_dpo, lambda x: 0.4 * np.tanh(x / 2), False, False, "?", (SHIFT,)),
    # robust statistics
    Foreign("barron", Barron(1.2, 3.0), barron_slope(1.2, 3.0), True, False),
    Foreign("barron_flat", Barron(0.5, 0.4), barron_slope(0.5, 0.4), False, False),
    Foreign("barron_bounded", Barron(-2.0, 2.0), barron_slope(-2.0, 2.0), False, False),
    Foreign(
        "charbonnier",
        lambda x: (x**2 + 1e-4).sqrt(),
        lambda x: x / np.sqrt(x**2 + 1e-4),
        False,
        False,
        "",
        (SHIFT,),
    ),
    Foreign(
        "pseudo_huber",
        lambda x: 6.25 * ((1 + (x / 2.5) ** 2).sqrt() - 1),
        lambda x: x / np.sqrt(1 + (x / 2.5) ** 2),
        False,
        False,
    ),
    Foreign(
        "cauchy", lambda x: torch.log1p((x / 3) ** 2), lambda x: 2 * x / (9 + x**2), False, False
    ),
    Foreign(
        "student", lambda x: 2 * torch.log1p(x**2 / 3), lambda x: 4 * x / (3 + x**2), False, False
    ),
    Foreign(
        "geman_mcclure",
        lambda x: x**2 / (x**2 + 4),
        lambda x: 8 * x / (x**2 + 4) ** 2,
        False,
        False,
    ),
    Foreign(
        "welsch",
        lambda x: 1 - torch.exp(-(x**2) / 8),
        lambda x: x / 4 * np.exp(-(x**2) / 8),
        False,
        False,
        "",
        (DEAD,),
    ),
    Foreign("tukey", tukey, tukey_slope, False, False, "", (DEAD,)),
    Foreign("hampel", hampel, hampel_slope, False, False, "", (DEAD, OTHER)),
    Foreign(
        "wing",
        wing,
        lambda x: np.sign(x) * np.where(np.abs(x) < 10, 10 / (2 + np.abs(x)), 1),
        False,
        False,
        "",
        (OTHER,),
    ),
    Foreign(
        "quantile", quantile, lambda x: np.where(x > 0, 0.8, -0.2), False, False, "?", (SHIFT,)
    ),
    Foreign("expectile", expectile, lambda x: np.where(x > 0, 1.6 * x, 0.4 * x), True, False, "?"),
    Foreign(
        "symlog",
        lambda x: (torch.sign(x) * torch.log1p(x.abs())) ** 2,
        lambda x: 2 * np.sign(x) * np.log1p(np.abs(x)) / (1 + np.abs(x)),
        False,
        False,
    ),
    Foreign(
        "root",
        lambda x: x.abs() ** 0.5,
        lambda x: np.sign(x) / 2 / np.sqrt(np.abs(x)),
        False,
        False,
        "",
        (INF,),
    ),
    Foreign(
        "power",
        lambda x: x.abs() ** 1.5,
        lambda x: 1.5 * np.sign(x) * np.abs(x) ** 0.5,
        True,
        False,
    ),
    Foreign(
        "elastic", lambda x: x**2 + 0.5 * x.abs(), lambda x: 2 * x + 0.5 * np.sign(x), True, False
    ),
    Foreign(
        "soft_clamp",
        lambda x: (20 * torch.tanh(x / 20)) ** 2 / 2,
        lambda x: 20 * np.tanh(x / 20) / np.cosh(x / 20) ** 2,
        False,
        False,
    ),
    Foreign(
        "focal",
        lambda x: -(x**2) * torch.expm1(-(x**2)),
        lambda x: -2 * x * np.expm1(-(x**2)) + 2 * x**3 * np.exp(-(x**2)),
        True,
        False,
    ),
    Foreign(
        "x_sigmoid",
        lambda x: 2 * x * torch.sigmoid(x) - x,
        lambda x: np.tanh(x / 2) + x / 2 / np.cosh(x / 2) ** 2,
        False,
        False,
    ),
    # one thing here and another there
    Foreign(
        "redescending_right",
        redescending_right,
        lambda x: np.where(x < 1, x, 1.5 * x / (1 + x**2 / 2)),
        True,
        False,
        R,
        (OTHER,),
    ),
    Foreign("bump", bump, lambda x: np.where((x > 2) & (x < 3), 5, x), True, False, R, (OTHER,)),
    Foreign(
        "narrow_bump",
        narrow_bump,
        lambda x: np.where((x > 50) & (x < 50.3), 100, x),
        True,
        False,
        R,
        (OTHER,),
    ),
    Foreign(
        "left_straight",
        left_straight,
        lambda x: np.where(x > -0.5, np.expm1(x), math.expm1(-0.5)),
        False,
        True,
    ),
    Foreign("huber_of_two", huber_of_two, lambda x: clip(x, -1, 2), False, False),
    Foreign(
        "weighted_huber",
        lambda x: torch.where(x < 0, 0.3, 0.7) * F.huber_loss(x, 0 * x, reduction="none"),
        lambda x: np.where(x < 0, 0.3, 0.7) * clip(x, -1, 1),
        False,
        False,
        "?",
    ),
    Foreign(
        "huber_shifted",
        lambda x: F.huber_loss(x - 0.25, torch.zeros_like(x), reduction="none"),
        lambda x: clip(x, -0.75, 1.25),
        False,
        False,
        "",
        (SHIFT,),
    ),
    Foreign("huge", lambda x: 1e8 * x**2, lambda x: 2e8 * x, True, False, R),
    Foreign("tiny", lambda x: 1e-8 * x**2, lambda x: 2e-8 * x, True, False, R),
    Foreign("quartic", lambda x: x**2 / 2 + 0.01 * x**4, lambda x: x + 0.04 * x**3, True, False),
    Foreign("sine", lambda x: x**2 / 2 + 0.1 * torch.sin(5 * x), None, True, False),
    # the second set
    Foreign("another_backward", AnotherBackward.apply, np.expm1, False, True, F_KL),
    Foreign("shifted_by_its_size", shifted_by_its_size, np.expm1, False, True, F_KL),
    Foreign(
        "half_percent", with_extra(2, 3, 5e-3), extra_slope(2, 3, 5e-3), True, False, R, (OTHER,)
    ),
    Foreign(
        "a_thousandth",
        with_extra(-30, -20, 1e-3),
        extra_slope(-30, -20, 1e-3),
        True,
        False,
        R,
        (OTHER,),
    ),
    Foreign(
        "narrow",
        with_extra(40, 40.05, 0.05),
        extra_slope(40, 40.05, 0.05),
        True,
        False,
        R,
        (OTHER,),
    ),
    Foreign(
        "narrow_at_the_end",
        with_extra(-99, -98.9, 0.3),
        extra_slope(-99, -98.9, 0.3),
        True,
        False,
        R,
        (OTHER,),
    ),
    Foreign(
        "k3_with_extra",
        k3_with_extra,
        lambda x: np.where((x > 4) & (x < 4.5), np.exp(x) * 1.01 - 1, np.expm1(x)),
        False,
        True,
        F_KL,
        (SHIFT, OTHER),
        options={"range": (-40.0, 40.0)},
    ),
    Foreign(
        "by_name",
        by_name,
        lambda x: clip(x, -2.5, 2.5),
        False,
        False,
        "",
        (),
        MODEL,
        {"bind": {"delta": 2.5}},
    ),
    Foreign("one_name_is_ours", one_name_is_ours, np.expm1, False, True, F_KL, (), MODEL),
    Foreign("k3_of_rows", k3_of_rows, np.expm1, False, True, F_KL, (), MODEL),
    Foreign("outer", Outer(0.4), lambda x: clip(x / 0.4, -1, 1), False, False, "", (), MODEL),
    Foreign("by_vmap", two_kinds, lambda x: np.where(x > 0, np.expm1(x), x), True, True),
    Foreign("by_grad", lambda x: slope_by_grad(x.detach()) * x, np.expm1, False, True, F_KL),
    Foreign(
        "chain_in_place",
        chain_in_place,
        lambda x: np.where(np.abs(x) < 3, x, 0),
        False,
        False,
        R,
        (DEAD, OTHER),
    ),
    Foreign("times_batch", lambda x: (x**2 / 2).mean() * len(x), line, True, False, R),
    Foreign(
        "cross_entropy", cross_entropy, lambda x: np.tanh(x / 2) / 2, False, False, "?", (SHIFT,)
    ),
    Foreign(
        "pseudo_huber_small",
        lambda x: 3 * ((1 + (x / 0.3) ** 2).sqrt() - 1),
        lambda x: x / 0.03 / np.sqrt(1 + (x / 0.3) ** 2),
        False,
        False,
    ),
    Foreign(
        "hinge_of_the_swap",
        lambda x: 3 * F.relu(-x - 1.5),
        lambda x: -3.0 * (x < -1.5),
        False,
        False,
        "hockey-stick of the swap with gamma = exp(3/2)",
        (DEAD,),
    ),
    Foreign(
        "kink_on_a_slope",
        lambda x: x.abs() + 2 * x,
        np.sign,
        False,
        False,
        "total variation",
        (SHIFT, KINK),
    ),
    Foreign(
        "of_three_again",
        lambda x: x**2 / 2 + 2 * x.abs() + 0.25 * (torch.exp(-x) + x - 1),
        lambda x: x + 2 * np.sign(x) - 0.25 * np.expm1(-x),
        True,
        False,
    ),
    Foreign(
        "square_of_exp",
        lambda x: (torch.exp(x / 2) - 1) ** 2,
        lambda x: np.exp(x / 2) * np.expm1(x / 2),
        False,
        True,
    ),
    Foreign("ppo", ppo, line, True, False, R, (), MODEL),
    Foreign("reinforce", reinforce, line, True, False, R, (), MODEL),
    Foreign(
        "clamped_logs",
        clamped_logs,
        lambda x: np.maximum(x, -40),
        False,
        False,
        R,
        (DEAD, OTHER),
        MODEL,
    ),
]
