"""The named divergences as data: generator, formula in sums over p = p_B and q = p_F, reference,
its loss, verdicts.

Every generator is normalised to f(1) = f'(1) = 0 (a kink at 1 keeps 0 between its slopes), so each
formula holds for finite measures, not only for laws of equal mass.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from divergence_lab.theory.catalogue.entries import AMARI, HU

F_GAN = "Nowozin, Cseke and Tomioka, NeurIPS 2016 (f-GAN)"
LIN = "Lin, IEEE Trans. Inf. Theory 37, 1991"


@dataclass(frozen=True)
class NamedDivergence:
    """D_f(p_B || p_F) with f in t; `formula` says it in sums over p = p_B, q = p_F, m a mixture
    named there.

    `loss`: the catalogue loss that induces it, up to a positive factor. A family has one
    `parameter`, allowed in `where`; then `from_skewness` gives it as a function of r =
    g'''(0)/g''(0), which no scale of g changes. `limits`: where the formula has no value, what it
    tends to.
    """

    name: str
    generator: str
    formula: str
    reference: str
    loss: str
    zero_forcing: bool | str
    zero_avoiding: bool | str
    symmetric: bool | str
    parameter: str | None = None
    where: tuple[str, ...] = ()
    from_skewness: str | None = None
    limits: Mapping[str, str] = field(default_factory=dict)


# Proportional rows (GAN = 2 Jensen-Shannon, Le Cam = triangular/2) are told apart by their factor;
# the first stands for the others when no factor is 1.
DIVERGENCES: tuple[NamedDivergence, ...] = (
    NamedDivergence(
        "reverse KL",
        "t - log(t) - 1",
        "KL(q||p) = sum q log(q/p) - q + p",
        F_GAN,
        "quadratic",
        True,
        False,
        False,
    ),
    NamedDivergence(
        "forward KL",
        "t*log(t) - t + 1",
        "KL(p||q) = sum p log(p/q) - p + q",
        F_GAN,
        "linex(1)",
        False,
        True,
        False,
    ),
    NamedDivergence(
        "squared Hellinger",
        "(sqrt(t) - 1)**2",
        "sum (sqrt p - sqrt q)^2",
        F_GAN,
        "hellinger",
        False,
        False,
        True,
    ),
    NamedDivergence(
        "Pearson chi-square", "(t - 1)**2", "sum (p - q)^2/q", F_GAN, "pearson", False, True, False
    ),
    NamedDivergence(
        "Neyman chi-square", "(t - 1)**2/t", "sum (p - q)^2/p", F_GAN, "neyman", True, False, False
    ),
    NamedDivergence(
        "Jeffreys", "(t - 1)*log(t)", "KL(p||q) + KL(q||p)", F_GAN, "jeffreys", True, True, True
    ),
    NamedDivergence(
        "total variation", "Abs(t - 1)/2", "sum |p - q|/2", F_GAN, "absolute", False, False, True
    ),
    NamedDivergence(
        "Jensen-Shannon",
        "(t*log(2*t/(1 + t)) + log(2/(1 + t)))/2",
        "KL(p||m)/2 + KL(q||m)/2, m = (p + q)/2",
        LIN,
        "jsd",
        False,
        False,
        True,
    ),
    NamedDivergence(
        "GAN",
        "t*log(t) - (t + 1)*log((t + 1)/2)",
        "KL(p||m) + KL(q||m), m = (p + q)/2",
        F_GAN,
        "gan",
        False,
        False,
        True,
    ),
    NamedDivergence(
        "triangular discrimination",
        "(t - 1)**2/(t + 1)",
        "sum (p - q)^2/(p + q)",
        "Topsoe, IEEE Trans. Inf. Theory 46, 2000",
        "triangular",
        False,
        False,
        True,
    ),
    NamedDivergence(
        "Le Cam",
        "(t - 1)**2/(2*(t + 1))",
        "sum (p - q)^2/(2(p + q)) = sum (p + q)/2 - 2 p q/(p + q)",
        "Le Cam, Asymptotic Methods, 1986",
        "le_cam",
        False,
        False,
        True,
    ),
    NamedDivergence(
        "K-divergence",
        "t*log(2*t/(1 + t)) + (1 - t)/2",
        "KL(p||m), m = (p + q)/2",
        LIN,
        "softplus_centred",
        False,
        False,
        False,
    ),
    NamedDivergence(
        "reverse K-divergence",
        "log(2/(1 + t)) + (t - 1)/2",
        "KL(q||m), m = (p + q)/2",
        LIN,
        "reverse_k",
        False,
        False,
        False,
    ),
    NamedDivergence(
        "arithmetic-geometric mean",
        "(t + 1)*log((t + 1)/(2*sqrt(t)))/2",
        "KL(m||p)/2 + KL(m||q)/2, m = (p + q)/2",
        "Taneja, Adv. Imaging Electron Phys. 91, 1995",
        "arithmetic_geometric",
        True,
        True,
        True,
    ),
    NamedDivergence(
        "symmetric chi-square",
        "(t - 1)**2*(t + 1)/t",
        "sum (p - q)^2 (1/p + 1/q)",
        "Dragomir, Sunde and Buse, Tamsui Oxf. J. Math. Sci. 16, 2000",
        "symmetric_chi_square",
        True,
        True,
        True,
    ),
    NamedDivergence(
        "cubic Vajda",
        "Abs(t - 1)**3",
        "sum |p - q|^3/q^2",
        "Vajda, Trans. 6th Prague Conf., 1973",
        "vajda_cubic",
        False,
        True,
        False,
    ),
    NamedDivergence(
        "forward KL plus half Neyman chi-square",
        "t*log(t) - t/2 + 1/(2*t)",
        "KL(p||q) + sum (p - q)^2/(2 p)",
        HU,
        "shifted_cosh",
        True,
        True,
        False,
    ),
    NamedDivergence(
        "alpha-divergence",
        "(t**alpha - alpha*t + alpha - 1)/(alpha*(alpha - 1))",
        "sum (p^alpha q^(1-alpha) - alpha p + (alpha - 1) q)/(alpha (alpha - 1))",
        AMARI,
        "linex(alpha)",
        "alpha <= 0",
        "alpha >= 1",
        "alpha == 1/2",
        "alpha",
        ("alpha != 0", "alpha != 1"),
        "r",
        {"0": "reverse KL", "1": "forward KL"},
    ),
    NamedDivergence(
        "skewed Jensen-Shannon",
        "w*t*log(t) - (1 - w + w*t)*log(1 - w + w*t)",
        "w KL(p||m) + (1 - w) KL(q||m), m = w p + (1 - w) q",
        LIN,
        "skewed_jsd(w)",
        False,
        False,
        "w == 1/2",
        "w",
        ("w > 0", "w < 1"),
        "1 - r",
    ),
    NamedDivergence(
        "Vincze-Le Cam",
        "(t - 1)**2/(w*t + 1 - w)",
        "sum (p - q)^2/(w p + (1 - w) q)",
        "Gyorfi and Vajda, Statist. Decisions 19, 2001",
        "vincze_le_cam(w)",
        False,
        False,
        "w == 1/2",
        "w",
        ("w > 0", "w < 1"),
        "(2 - r)/3",
    ),
    NamedDivergence(
        "skew divergence",
        "t*log(t/((1 - w)*t + w)) + w*(1 - t)",
        "KL(p||m), m = (1 - w) p + w q",
        "Lee, ACL 1999",
        "skew(w)",
        False,
        False,
        False,
        "w",
        ("w > 0", "w < 1"),
        "(1 + r)/2",
    ),
    NamedDivergence(
        "reverse skew divergence",
        "-log(1 - w + w*t) + w*(t - 1)",
        "KL(q||m), m = w p + (1 - w) q",
        "Lee, ACL 1999",
        "reverse_skew(w)",
        False,
        False,
        False,
        "w",
        ("w > 0", "w < 1"),
        "1 - r/2",
    ),
)
