"""The theorem, checked with no sampling: the weighted loss and a divergence have the same gradient.

    grad sum_o mu g(x),  mu held constant,  against the gradient that theory gives

    mu = sum_j k_j p_F^{a_j} p_B^{b_j}, k_j held constant (k = 1, a = 1, b = 0: weights p_F)
        parameters of p_F alone  grad sum_j k_j Phi_j,  Phi = p_B^{a+b} I_a(x)
        parameters of p_B alone  grad sum_j k_j Psi_j,  Psi = p_F^{a+b} I_{-b}(x)
        at (a, b) = (1, 0)       Phi = p_F f(p_B/p_F),  Psi = p_F g(x)
    any other mu, c = mu/p_F held constant
        parameters of p_F alone  grad D_f(c p_B||c p_F)
        parameters of p_B alone  grad D_{g o log}(c p_B||c p_F)
    parameters of both: the sum of the two, each with the other's measure held constant

with I_a(u) = int_0^u g'(v) e^{-a v} dv.  Nothing on the right side uses f - t f' = -g'.
Proofs: docs/theorem.md.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from divergence_lab.gflownet.listed.exact import log_partition
from divergence_lab.gflownet.samplers import Sampler
from divergence_lab.theorem import behaviours, objects
from divergence_lab.theorem.points import Group, Point, points

TOLERANCE = 1e-9
# Differences are taken relative to no less than this share of sum_o |mu g'(x)|, to all of it where
# a group moves nothing.
SMALLEST = 1e-6
ROUNDING = 1e-12  # of the same: nothing but rounding
NO_RESIDUAL = 1e-9
SPREADS = (1.0, 0.5, 0.25)  # of the points' logits, in turn
OLDER = 1_000  # the seed of the policy that filled the buffer lies this far from the point's

Term = tuple[float, float, float]
Part = tuple[Tensor, float, float]


@dataclass(frozen=True)
class Scheme:
    """How objects are weighted.

    `terms` (k, a, b): by sum_j k_j p_F^{a_j} p_B^{b_j}, each object as such; or `drawn`: by what a
    sampler of training gives them in expectation.  One of the two is None.
    """

    name: str
    terms: tuple[Term, ...] | None = ((1.0, 1.0, 0.0),)
    drawn: Sampler | None = None


ON_POLICY = Scheme("on")


@dataclass(frozen=True)
class Theory:
    """One loss in torch, elementwise: `loss` g(x), `generator` f(t), `integral`(a) = I_a as a
    function of x.

    `generators` (a, b) -> h(t): where weights p_F^a p_B^b make the loss one of a divergence of the
    powers, that is Phi = p_F^k h(p_B^k/p_F^k) with k = a + b, in closed form.
    """

    loss: Callable[[Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    integral: Callable[[float], Callable[[Tensor], Tensor]] | None = None
    generators: Mapping[tuple[float, float], Callable[[Tensor], Tensor]] = field(
        default_factory=dict
    )


@dataclass(frozen=True)
class Check:
    """What one row says.  Errors are max |difference| / max |component of either gradient| over the
    group.

    `error`: of the statement that theory gives.  `plain`: of grad D_f(p_B||p_F), whether theory
    gives it or not (SubTB: of D_f between lambda^length p_B and lambda^length p_F). Controls, which
    must be off: `flipped`, g(-x) in place of g(x); `live`, mu not held constant; `live_factor`, the
    k_j or c not held constant.  None: the control cannot be off, because the loss is even where it
    is evaluated, or because what should be held does not depend on the group.  `still`: the group
    moves nothing, as P_B does where every state has one parent: all gradients are rounding, the
    flipped one too, and that control cannot be off.
    """

    group: Group
    error: float
    flipped: float
    even: bool
    plain: float
    live: float | None
    live_factor: float | None
    n_objects: int
    still: bool = False

    @property
    def holds(self) -> bool:
        return self.error <= TOLERANCE

    @property
    def is_finite(self) -> bool:
        """Were both gradients numbers of float64, and their difference?"""
        return math.isfinite(self.error) and math.isfinite(self.flipped)

    @property
    def plain_holds(self) -> bool:
        return self.plain <= TOLERANCE


def check(
    listing: objects.Listing, theories: Sequence[Theory], scheme: Scheme = ON_POLICY, seed: int = 0
) -> Iterator[tuple[int, Check]]:
    """(number of the theory, check) for every group of parameters of the objective, at the points
    of `seed`; nearer to the target's own logits where a loss leaves float64 at their residuals.
    """
    numbers = list(range(len(theories)))
    for spread in SPREADS:
        rows = list(_check_all(listing, theories, numbers, scheme, seed, spread))
        steep = {number for number, one in rows if not one.is_finite and spread != SPREADS[-1]}
        yield from ((number, one) for number, one in rows if number not in steep)
        numbers = sorted(steep)


def _check_all(
    listing: objects.Listing,
    theories: Sequence[Theory],
    numbers: Sequence[int],
    scheme: Scheme,
    seed: int,
    spread: float,
) -> Iterator[tuple[int, Check]]:
    if not numbers:
        return
    buffer = None
    if scheme.drawn is not None and scheme.drawn.replay:
        older = next(points(listing, seed + OLDER)).model.log_pf.detach()
        buffer = behaviours.forward_law(listing.graph, Sampler(), older, listing.walked)
    for point in points(listing, seed, spread):
        weights = _weights(listing, point, scheme, buffer)
        for group in point.groups:
            for number in numbers:
                yield number, _check(point, group, theories[number], weights, listing)


def _constant(listing: objects.Listing) -> Tensor:
    """[N] what the objective itself weighs an object by: lambda^length for SubTB, 1 for all
    others.
    """
    return float(listing.objective.decay) ** listing.length.double()


# --- weights


@dataclass(frozen=True, eq=False)
class _Weights:
    """mu [N] with its gradient.

    `parts`: (factor, a, b), a factor [N] or [] with its gradient; mu = sum of factor p_F^a p_B^b,
    or c = mu/p_F times p_F.
    """

    mu: Tensor
    parts: tuple[Part, ...]


def _weights(
    listing: objects.Listing, point: Point, scheme: Scheme, buffer: Tensor | None
) -> _Weights:
    objects = point.objects
    if scheme.drawn is None:
        terms = tuple((factor * _constant(listing), a, b) for factor, a, b in scheme.terms or ())
        parts = (factor * (a * objects.log_pf + b * objects.log_pb).exp() for factor, a, b in terms)
        return _Weights(sum(parts, torch.zeros((), dtype=torch.float64)), terms)
    beta = behaviours.law(listing.graph, scheme.drawn, point.model, listing.walked, buffer)
    mu = behaviours.object_weights(listing, beta, objects.weight)
    if scheme.drawn == Sampler(backward=scheme.drawn.backward) and listing.objective.kind == "tb":
        # beta itself is a sum of p_F and p_B with factors: 1/Z, which learns, and 1/Z*, which is a
        # number
        share = scheme.drawn.backward
        fresh = ((1 - share) * torch.exp(-point.model.log_z), 1.0, 0.0)
        back = (
            torch.tensor(share * math.exp(-log_partition(listing.graph)), dtype=torch.float64),
            0.0,
            1.0,
        )
        return _Weights(
            mu, tuple(term for term, used in ((fresh, share < 1), (back, share > 0)) if used)
        )
    return _Weights(mu, ((mu / objects.log_pf.exp(), 1.0, 0.0),))


# --- potentials


def forward_potential(theory: Theory, a: float, b: float, log_pb: Tensor, log_pf: Tensor) -> Tensor:
    """Phi = p_B^{a+b} I_a(x), whose derivative in log p_F is -p_F^a p_B^b g'(x)."""
    power, x = a + b, log_pb - log_pf
    known = theory.generator if (a, b) == (1.0, 0.0) else theory.generators.get((a, b))
    if known is not None:
        return (power * log_pf).exp() * known((power * x).exp())
    value = theory.loss(x) if a == 0 else _integral(theory, a)(x)
    return (power * log_pb).exp() * value


def _integral(theory: Theory, a: float) -> Callable[[Tensor], Tensor]:
    if theory.integral is None:
        raise ValueError(f"weights like these need I_a, a = {a:g}, and the theory has none")
    return theory.integral(a)


def backward_potential(
    theory: Theory, a: float, b: float, log_pb: Tensor, log_pf: Tensor
) -> Tensor:
    """Psi = p_F^{a+b} I_{-b}(x), whose derivative in log p_B is p_F^a p_B^b g'(x)."""
    x = log_pb - log_pf
    value = theory.loss(x) if b == 0 else _integral(theory, -b)(x)
    return ((a + b) * log_pf).exp() * value


def _target(
    theory: Theory, role: str, objects: objects.Objects, parts: Sequence[Part], held: bool
) -> Tensor:
    """The sum whose gradient theory gives; `held`: the factors constant, as they must be."""
    log_pf, log_pb = objects.log_pf, objects.log_pb
    both = role == "both"
    pf_held, pb_held = (log_pf.detach(), log_pb.detach()) if both else (log_pf, log_pb)
    total = torch.zeros((), dtype=torch.float64)
    for factor, a, b in parts:
        factor = factor.detach() if held else factor
        if role != "backward":
            total = total + (factor * forward_potential(theory, a, b, pb_held, log_pf)).sum()
        if role != "forward":
            total = total + (factor * backward_potential(theory, a, b, log_pb, pf_held)).sum()
    return total


# --- one row


def _check(
    point: Point, group: Group, theory: Theory, weights: _Weights, listing: objects.Listing
) -> Check:
    leaves, objects = [point.leaves[name] for name in group.leaves], point.objects
    mu, x = weights.mu, objects.residual
    # where the residual is 0, as on the inner edges of a tree with F = Z d_F, a live weight is
    # multiplied by g(0) = 0
    off = (x.detach().abs() > NO_RESIDUAL).double()
    mu_moves = _moves(mu * off, leaves)
    factor_moves = any(_moves(factor * off, leaves) for factor, _, _ in weights.parts)
    even = _is_even(theory, x.detach())

    # what rounding is to be measured by: the loss's pull on every residual, were none to cancel
    # another
    apart = x.detach().requires_grad_()
    (pull,) = torch.autograd.grad((mu.detach() * theory.loss(apart)).sum(), [apart])
    whole = float(pull.abs().sum())

    trained = _gradient((mu.detach() * theory.loss(x)).sum(), leaves)
    truth = _gradient(_target(theory, group.role, objects, weights.parts, True), leaves)
    constant = ((_constant(listing), 1.0, 0.0),)
    plain = _gradient(_target(theory, "forward", objects, constant, True), leaves)
    flipped = _gradient((mu.detach() * theory.loss(-x)).sum(), leaves)
    live = _gradient((mu * theory.loss(x)).sum(), leaves) if mu_moves else None
    factor = (
        _gradient(_target(theory, group.role, objects, weights.parts, False), leaves)
        if factor_moves
        else None
    )

    still = all(float(one.abs().max()) <= ROUNDING * whole for one in (trained, truth, flipped))
    smallest = whole if still else SMALLEST * whole

    def error(gradient: Tensor, wanted: Tensor = truth) -> float:
        return relative_error(gradient, wanted, smallest)

    return Check(
        group,
        error(trained),
        error(flipped),
        even,
        error(trained, plain),
        None if live is None else error(live),
        None if factor is None else error(factor),
        listing.n_objects,
        still,
    )


def _is_even(theory: Theory, x: Tensor) -> bool:
    there, mirrored = theory.loss(x), theory.loss(-x)
    return bool(((there - mirrored).abs() <= 1e-9 * there.abs()).all())


def _moves(amounts: Tensor, leaves: Sequence[Tensor]) -> bool:
    """Does any of these amounts depend on a leaf?  Seen in a random sum of them, relative to
    rounding.
    """
    mix = torch.randn(
        amounts.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    gradient = _gradient((amounts * mix).sum(), leaves)
    return bool(gradient.abs().max() > ROUNDING * amounts.abs().sum())


def _gradient(scalar: Tensor, leaves: Sequence[Tensor]) -> Tensor:
    """All components as one vector; 0 where the scalar does not depend on a leaf."""
    if not scalar.requires_grad:
        return torch.zeros(sum(leaf.numel() for leaf in leaves), dtype=torch.float64)
    found = torch.autograd.grad(scalar, leaves, retain_graph=True, allow_unused=True)
    return torch.cat(
        [
            torch.zeros_like(leaf).flatten() if part is None else part.flatten()
            for part, leaf in zip(found, leaves)
        ]
    )


def relative_error(gradient: Tensor, wanted: Tensor, smallest: float = 0.0) -> float:
    """max |difference| / max(largest component of either, smallest); 0 only if they are equal."""
    difference = float((gradient - wanted).abs().max())
    largest = max(float(gradient.abs().max()), float(wanted.abs().max()), smallest)
    return difference / largest if difference else 0.0
