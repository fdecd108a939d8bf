"""The named losses as data: formula, reference, when to use it, and the verdicts that were derived
on paper.

Zero-forcing is read off g'(-oo), zero-avoiding off the growth of g' against e^x, convexity and the
symmetry of the divergence off g'' (theory notes in the docs). The tests hold `derive` and `decide`
against every line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

HU = "Hu et al., ICLR 2025 (arXiv 2410.02596), Table 2"
AMARI = "Amari, Differential-Geometrical Methods in Statistics, 1985"
CSISZAR = "Csiszar, Studia Sci. Math. Hungar. 2, 1967"


@dataclass(frozen=True)
class Expected:
    """Verdicts for every allowed parameter value: True, False, or the exact condition, such as
    "alpha <= 0".
    """

    zero_forcing: bool | str = False
    zero_avoiding: bool | str = False
    symmetric: bool | str = False
    even: bool | str = False
    bounded_gradient: bool | str = False
    convex: bool | str = True
    valid: bool | str = True


@dataclass(frozen=True)
class NamedLoss:
    """g in x. `parameters` with their defaults (None: must be given), each with its allowed values
    in `where`.

    `special`: the formula at parameter values where the general one degenerates; `examples`: values
    at which the tests look at the entry (the defaults if empty); `divergences`: the named
    divergence at such values.
    """

    name: str
    loss: str
    reference: str
    use: str
    expected: Expected
    parameters: Mapping[str, str | None] = field(default_factory=dict)
    where: tuple[str, ...] = ()
    special: Mapping[str, str] = field(default_factory=dict)
    examples: tuple[str, ...] = ()
    divergences: Mapping[str, str] = field(default_factory=dict)


_ROBUST = Expected(even=True, bounded_gradient=True)
_REDESCENDING = Expected(even=True, bounded_gradient=True, convex=False)

# --- those of the paper, and the divergences everyone knows
# --------------------------------------------------

_CLASSICAL = (
    NamedLoss(
        "quadratic",
        "x**2/2",
        HU,
        "the standard loss; concentrates on high reward (zero-forcing)",
        Expected(zero_forcing=True, even=True),
        divergences={"": "reverse KL"},
    ),
    NamedLoss(
        "linex",
        "(exp(alpha*x) - alpha*x - 1)/alpha**2",
        HU,
        "alpha slides from mode-seeking (alpha <= 0) to mode-covering (alpha >= 1)",
        Expected(
            zero_forcing="alpha <= 0",
            zero_avoiding="alpha >= 1",
            symmetric="alpha == 1/2",
            even="alpha == 0",
        ),
        {"alpha": None},
        special={"0": "x**2/2"},
        examples=("1", "1/2", "0", "-1", "2", "3/2", "-1/3"),
        divergences={
            "1": "forward KL",
            "1/2": "squared Hellinger",
            "0": "reverse KL",
            "-1": "Neyman chi-square",
            "2": "Pearson chi-square",
            "3/2": "alpha-divergence with alpha = 3/2",
            "-1/3": "alpha-divergence with alpha = -1/3",
        },
    ),
    NamedLoss(
        "shifted_cosh",
        "exp(x) + exp(-x) - 2",
        HU,
        "both zero-forcing and zero-avoiding",
        Expected(zero_forcing=True, zero_avoiding=True, even=True),
        divergences={"": "forward KL plus half Neyman chi-square"},
    ),
    NamedLoss(
        "jeffreys",
        "x**2/2 + exp(x) - x - 1",
        "Jeffreys, Proc. R. Soc. A 186, 1946",
        "zero-forcing and zero-avoiding, and fair to both laws",
        Expected(zero_forcing=True, zero_avoiding=True, symmetric=True),
        divergences={"": "Jeffreys"},
    ),
    NamedLoss(
        "annealed_kl",
        "lam*(exp(x) - x - 1) + (1 - lam)*x**2/2",
        CSISZAR,
        "to move from reverse (lam near 0) to forward KL (lam near 1) during training",
        Expected(zero_forcing=True, zero_avoiding=True, symmetric="lam == 1/2"),
        {"lam": "1/4"},
        where=("lam > 0", "lam < 1"),
        examples=("1/4", "1/2"),
        divergences={"1/2": "Jeffreys"},
    ),
    NamedLoss(
        "hellinger",
        "2*exp(x/2) - x - 2",
        "Hellinger, J. Reine Angew. Math. 136, 1909",
        "between mode-seeking and mode-covering, with finite score variance",
        Expected(symmetric=True),
        divergences={"": "squared Hellinger"},
    ),
    NamedLoss(
        "pearson",
        "(exp(2*x) - 2*x - 1)/2",
        "Pearson, Phil. Mag. 50, 1900",
        "covers every mode, at the price of heavy gradients where the model has too little",
        Expected(zero_avoiding=True),
        divergences={"": "Pearson chi-square"},
    ),
    NamedLoss(
        "neyman",
        "2*(exp(-x) + x - 1)",
        "Neyman, Proc. Berkeley Symp. 1, 1949",
        "punishes mass outside the target harder than reverse KL",
        Expected(zero_forcing=True),
        divergences={"": "Neyman chi-square"},
    ),
    NamedLoss(
        "symmetric_chi_square",
        "(exp(2*x) - 2*x - 1)/2 + 2*(exp(-x) + x - 1)",
        "Dragomir, Sunde and Buse, Tamsui Oxf. J. Math. Sci. 16, 2000",
        "both properties with the steepest walls",
        Expected(zero_forcing=True, zero_avoiding=True, symmetric=True),
        divergences={"": "symmetric chi-square"},
    ),
    NamedLoss(
        "absolute",
        "Abs(x)",
        "Laplace, 1774",
        "total variation: every misplaced mass counts the same",
        Expected(symmetric=True, even=True, bounded_gradient=True),
        divergences={"": "total variation"},
    ),
    NamedLoss(
        "jsd",
        "-polylog(2, -exp(x))/2 - pi**2/24 - x*log(2)/2",
        "Lin, IEEE Trans. Inf. Theory 37, 1991",
        "bounded and symmetric: neither end is enforced",
        Expected(symmetric=True),
        divergences={"": "Jensen-Shannon"},
    ),
    NamedLoss(
        "gan",
        "-polylog(2, -exp(x)) - pi**2/12 - x*log(2)",
        "Goodfellow et al., NeurIPS 2014",
        "what an ideal GAN discriminator reports; twice the Jensen-Shannon divergence",
        Expected(symmetric=True),
        divergences={"": "GAN"},
    ),
    NamedLoss(
        "skewed_jsd",
        "(1 - w)*(x*log(1 - w) - polylog(2, -w*exp(x)/(1 - w)) + polylog(2, -w/(1 - w)))",
        "Lin, IEEE Trans. Inf. Theory 37, 1991",
        "Jensen-Shannon with the mixture at weight w on the target",
        Expected(symmetric="w == 1/2"),
        {"w": "1/4"},
        where=("w > 0", "w < 1"),
        examples=("1/4", "2/3"),
        divergences={
            "1/4": "skewed Jensen-Shannon with w = 1/4",
            "2/3": "skewed Jensen-Shannon with w = 2/3",
        },
    ),
    NamedLoss(
        "softplus_centred",
        "log((1 + exp(x))/2) - x/2",
        "Lin, IEEE Trans. Inf. Theory 37, 1991",
        "the gentlest even loss: log-cosh at half scale, bounded gradient",
        _ROBUST,
        divergences={"": "K-divergence"},
    ),
    NamedLoss(
        "reverse_k",
        "x/2 - log((1 + exp(x))/2) - polylog(2, -exp(x)) - pi**2/12 - x*log(2)",
        "Lin, IEEE Trans. Inf. Theory 37, 1991",
        "the model against the mixture of both laws",
        Expected(),
        divergences={"": "reverse K-divergence"},
    ),
    NamedLoss(
        "skew",
        "-w*x + w*log(w + (1 - w)*exp(x))/(1 - w)",
        "Lee, ACL 1999",
        "the target against a mixture with weight w on the model: forward KL as w -> 1, "
        "with a capped gradient",
        Expected(even="w == 1/2", bounded_gradient=True),
        {"w": "9/10"},
        where=("w > 0", "w < 1"),
        examples=("9/10", "1/2"),
        divergences={"9/10": "skew divergence with w = 9/10", "1/2": "K-divergence"},
    ),
    NamedLoss(
        "reverse_skew",
        "x*(w + log(1 - w)) - polylog(2, -w*exp(x)/(1 - w)) + polylog(2, -w/(1 - w)) "
        "- log(1 - w + w*exp(x))",
        "Lee, ACL 1999",
        "the model against a mixture with weight w on the target: reverse KL as w -> 1, "
        "but not zero-forcing",
        Expected(),
        {"w": "9/10"},
        where=("w > 0", "w < 1"),
        examples=("9/10",),
        divergences={"9/10": "reverse skew divergence with w = 9/10"},
    ),
    NamedLoss(
        "arithmetic_geometric",
        "x**2/8 + polylog(2, -exp(x))/2 + pi**2/24 + x*log(2)/2 + (exp(x) - x - 1)/4",
        "Taneja, Adv. Imaging Electron Phys. 91, 1995",
        "both properties and symmetric, with gentler weights than jeffreys",
        Expected(zero_forcing=True, zero_avoiding=True, symmetric=True),
        divergences={"": "arithmetic-geometric mean"},
    ),
    NamedLoss(
        "triangular",
        "-x + 4*log((exp(x) + 1)/2) + 4/(exp(x) + 1) - 2",
        "Topsoe, IEEE Trans. Inf. Theory 46, 2000",
        "symmetric with a bounded gradient",
        Expected(symmetric=True, bounded_gradient=True),
        divergences={"": "triangular discrimination"},
    ),
    NamedLoss(
        "le_cam",
        "-x/2 + 2*log((exp(x) + 1)/2) + 2/(exp(x) + 1) - 1",
        "Le Cam, Asymptotic Methods, 1986",
        "half the triangular discrimination",
        Expected(symmetric=True, bounded_gradient=True),
        divergences={"": "Le Cam"},
    ),
    NamedLoss(
        "vincze_le_cam",
        "-x/(1 - w) + log(w*exp(x) + 1 - w)/(w**2*(1 - w)) + (1/(w*exp(x) + 1 - w) - 1)/w**2",
        "Vincze, 1981; Gyorfi and Vajda, Statist. Decisions 19, 2001",
        "chi-square against a mixture: slides from Pearson (w = 0) to Neyman (w = 1), "
        "capped in between",
        Expected(symmetric="w == 1/2", bounded_gradient=True),
        {"w": "1/4"},
        where=("w > 0", "w < 1"),
        examples=("1/4", "1/2"),
        divergences={"1/4": "Vincze-Le Cam with w = 1/4", "1/2": "triangular discrimination"},
    ),
    NamedLoss(
        "vajda_cubic",
        "sign(x)*(2*exp(3*x)/3 - 3*exp(2*x)/2 + x + 5/6)",
        "Vajda, Trans. 6th Prague Conf., 1973",
        "covers modes; flat near agreement",
        Expected(zero_avoiding=True),
        divergences={"": "cubic Vajda"},
    ),
    NamedLoss(
        "cressie_read",
        "(exp((lam + 1)*x) - (lam + 1)*x - 1)/(lam + 1)**2",
        "Cressie and Read, J. R. Stat. Soc. B 46, 1984",
        "the power divergences of statistics: linex(lam + 1)",
        Expected(
            zero_forcing="lam <= -1",
            zero_avoiding="lam >= 0",
            symmetric="lam == -1/2",
            even="lam == -1",
        ),
        {"lam": "2/3"},
        special={"-1": "x**2/2"},
        examples=("2/3", "-1/2", "-2", "-1"),
        divergences={
            "2/3": "alpha-divergence with alpha = 5/3",
            "-1/2": "squared Hellinger",
            "-2": "Neyman chi-square",
            "-1": "reverse KL",
        },
    ),
    NamedLoss(
        "amari",
        "4*(exp((1 + a)*x/2) - (1 + a)*x/2 - 1)/(1 + a)**2",
        AMARI,
        "the alpha-connections' numbering: linex((1 + a)/2)",
        Expected(
            zero_forcing="a <= -1", zero_avoiding="a >= 1", symmetric="a == 0", even="a == -1"
        ),
        {"a": None},
        special={"-1": "x**2/2"},
        examples=("0", "1", "-1", "1/2", "-3"),
        divergences={
            "0": "squared Hellinger",
            "1": "forward KL",
            "-1": "reverse KL",
            "1/2": "alpha-divergence with alpha = 3/4",
            "-3": "Neyman chi-square",
        },
    ),
    NamedLoss(
        "tsallis",
        "(exp(r*x) - r*x - 1)/r",
        "Tsallis, Phys. Rev. E 58, 1998",
        "relative Tsallis entropy of order r",
        Expected(zero_avoiding="r >= 1", symmetric="r == 1/2"),
        {"r": "3/2"},
        where=("r > 0",),
        examples=("3/2", "1/2", "3/4"),
        divergences={
            "3/2": "alpha-divergence with alpha = 3/2",
            "1/2": "squared Hellinger",
            "3/4": "alpha-divergence with alpha = 3/4",
        },
    ),
)

# --- robust statistics

_ROBUST_STATISTICS = (
    NamedLoss(
        "huber",
        "Piecewise((x**2/2, Abs(x) <= delta), (delta*Abs(x) - delta**2/2, True))",
        "Huber, Ann. Math. Statist. 35, 1964",
        "quadratic with a clipped gradient: loses zero-forcing",
        _ROBUST,
        {"delta": "1"},
        where=("delta > 0",),
        examples=("1", "5/2"),
    ),
    NamedLoss(
        "smooth_l1",
        "Piecewise((x**2/(2*beta), Abs(x) <= beta), (Abs(x) - beta/2, True))",
        "Girshick, ICCV 2015",
        "Huber with unit slope far out: |x| with its corner rounded",
        _ROBUST,
        {"beta": "1/2"},
        where=("beta > 0",),
    ),
    NamedLoss(
        "pseudo_huber",
        "delta**2*(sqrt(1 + (x/delta)**2) - 1)",
        "Hartley and Zisserman, Multiple View Geometry, 2003",
        "a smooth Huber",
        _ROBUST,
        {"delta": "1"},
        where=("delta > 0",),
        examples=("1", "3"),
    ),
    NamedLoss(
        "charbonnier",
        "sqrt(x**2 + c**2) - c",
        "Charbonnier et al., ICIP 1994",
        "a smooth |x|",
        _ROBUST,
        {"c": "1/10"},
        where=("c > 0",),
    ),
    NamedLoss(
        "log_cosh",
        "log(cosh(x))",
        "Green, IEEE Trans. Med. Imaging 9, 1990",
        "a smooth Huber whose generator is elementary",
        _ROBUST,
    ),
    NamedLoss(
        "fair",
        "c**2*(Abs(x)/c - log(1 + Abs(x)/c))",
        "Fair, Ann. Econ. Soc. Meas. 3, 1974",
        "bounded gradient, reached slowly",
        _ROBUST,
        {"c": "1"},
        where=("c > 0",),
        examples=("1", "7/5"),
    ),
    NamedLoss(
        "rational_absolute",
        "x**2/(1 + Abs(x))",
        "g'' = 2/(1 + |x|)^3",
        "bounded gradient without exponentials",
        _ROBUST,
    ),
    NamedLoss(
        "arctangent",
        "x*atan(x) - log(1 + x**2)/2",
        "g' = atan(x)",
        "bounded gradient, reached slowly",
        _ROBUST,
    ),
    NamedLoss(
        "error_function",
        "x*erf(x) + (exp(-x**2) - 1)/sqrt(pi)",
        "g' = erf(x)",
        "bounded gradient, reached at once",
        _ROBUST,
    ),
    NamedLoss(
        "cauchy",
        "c**2*log(1 + (x/c)**2)/2",
        "Black and Anandan, CVIU 63, 1996",
        "ignores far residuals; not convex, so a wrong normaliser can repel the right policy",
        _REDESCENDING,
        {"c": "1"},
        where=("c > 0",),
        examples=("1", "2"),
    ),
    NamedLoss(
        "student",
        "(nu + 1)*log(1 + x**2/nu)/2",
        "Lange, Little and Taylor, JASA 84, 1989",
        "as cauchy, the log-likelihood of Student's law",
        _REDESCENDING,
        {"nu": "3"},
        where=("nu > 0",),
    ),
    NamedLoss(
        "welsch",
        "c**2*(1 - exp(-(x/c)**2/2))",
        "Dennis and Welsch, Comm. Statist. B 7, 1978",
        "forgets residuals beyond c; not convex",
        _REDESCENDING,
        {"c": "1"},
        where=("c > 0",),
    ),
    NamedLoss(
        "geman_mcclure",
        "x**2/(2*(1 + x**2))",
        "Geman and McClure, Bull. ISI 52, 1987",
        "forgets far residuals; not convex",
        _REDESCENDING,
    ),
    NamedLoss(
        "arctan_squared",
        "atan(x**2)/2",
        "SciPy, optimize.least_squares, loss='arctan'",
        "forgets far residuals; not convex",
        _REDESCENDING,
    ),
    NamedLoss("xtanh", "x*tanh(x)", "a smooth |x|", "nearly |x|, but not convex", _REDESCENDING),
    NamedLoss(
        "log_absolute",
        "log(1 + Abs(x))",
        "the logarithm of 1 + |x|",
        "a kink at 0 and forgetting far out; not convex",
        _REDESCENDING,
    ),
    NamedLoss(
        "squared_log",
        "log(1 + Abs(x))**2/2",
        "squared logarithmic error of 1 + |x|",
        "quadratic near 0, forgetting far out; not convex",
        _REDESCENDING,
    ),
    NamedLoss(
        "barron",
        "Abs(alpha - 2)/alpha*((x**2/Abs(alpha - 2) + 1)**(alpha/2) - 1)",
        "Barron, CVPR 2019",
        "one knob through quadratic (2), pseudo-Huber (1), Cauchy (0), Geman-McClure (-2)",
        Expected(
            zero_forcing="alpha > 1", even=True, bounded_gradient="alpha <= 1", convex="alpha >= 1"
        ),
        {"alpha": None},
        special={"2": "x**2/2", "0": "log(x**2/2 + 1)"},
        examples=("2", "3/2", "1", "0", "-2"),
        divergences={"2": "reverse KL"},
    ),
)

# --- one-sided scales, powers, growth at the border
# ----------------------------------------------------------

_SHAPES = (
    NamedLoss(
        "expectile",
        "Piecewise(((1 - tau)*x**2, x < 0), (tau*x**2, True))",
        "Newey and Powell, Econometrica 55, 1987",
        "reverse KL with its own price on either side",
        Expected(zero_forcing=True, even="tau == 1/2"),
        {"tau": "3/4"},
        where=("tau > 0", "tau < 1"),
        divergences={"": "asymmetric reverse KL with tau = 3/4"},
    ),
    NamedLoss(
        "pinball",
        "Piecewise((-(1 - tau)*x, x < 0), (tau*x, True))",
        "Koenker and Bassett, Econometrica 46, 1978",
        "total variation with its own price on either side",
        Expected(symmetric="tau == 1/2", even="tau == 1/2", bounded_gradient=True),
        {"tau": "3/4"},
        where=("tau > 0", "tau < 1"),
        examples=("3/4", "1/2"),
        divergences={"3/4": "asymmetric total variation with tau = 3/4", "1/2": "total variation"},
    ),
    NamedLoss(
        "quantile_huber",
        "Piecewise(((1 - tau)*(-x - 1/2), x < -1), ((1 - tau)*x**2/2, x < 0), "
        "(tau*x**2/2, x < 1), (tau*(x - 1/2), True))",
        "Dabney et al., AAAI 2018",
        "pinball with its corner rounded",
        Expected(even="tau == 1/2", bounded_gradient=True),
        {"tau": "3/4"},
        where=("tau > 0", "tau < 1"),
    ),
    NamedLoss(
        "epsilon_insensitive",
        "Max(Abs(x) - epsilon, 0)",
        "Vapnik, The Nature of Statistical Learning Theory, 1995",
        "not for GFlowNets: blind to residuals below epsilon, so a wrong model has loss 0",
        Expected(even=True, bounded_gradient=True, valid=False),
        {"epsilon": "1/2"},
        where=("epsilon > 0",),
    ),
    NamedLoss(
        "cosh_rate",
        "(cosh(k*x) - 1)/k**2",
        "Hu et al., ICLR 2025 (shifted-cosh) with a rate",
        "always zero-forcing; zero-avoiding as well from k = 1",
        Expected(zero_forcing=True, zero_avoiding="k >= 1", even=True),
        {"k": None},
        where=("k > 0",),
        examples=("1/2", "2"),
    ),
    NamedLoss(
        "split_linex",
        "Piecewise(((exp(a_minus*x) - a_minus*x - 1)/a_minus**2, x < 0), "
        "((exp(a_plus*x) - a_plus*x - 1)/a_plus**2, True))",
        "linex glued at 0, where both have g'' = 1",
        "to choose zero-forcing (a_minus < 0) and zero-avoiding (a_plus >= 1) one by one",
        Expected(
            zero_forcing="a_minus < 0",
            zero_avoiding="a_plus >= 1",
            symmetric="a_minus + a_plus == 1",
            even="a_minus + a_plus == 0",
            bounded_gradient="a_minus > 0 and a_plus < 0",
        ),
        {"a_minus": None, "a_plus": None},
        where=("a_minus != 0", "a_plus != 0"),
        examples=("-1, 1", "-1, 1/2", "1/2, -1/2", "-1, 2", "2, 3"),
    ),
    NamedLoss(
        "quadratic_linex",
        "Piecewise((x**2/2, x < 0), (exp(x) - x - 1, True))",
        "reverse KL where p < q, forward KL where p > q",
        "zero-forcing, zero-avoiding and symmetric",
        Expected(zero_forcing=True, zero_avoiding=True, symmetric=True),
    ),
    NamedLoss(
        "linex_quadratic",
        "Piecewise((exp(x) - x - 1, x < 0), (x**2/2, True))",
        "forward KL where p < q, reverse KL where p > q",
        "neither property, symmetric",
        Expected(symmetric=True),
    ),
    NamedLoss(
        "clipped_linex",
        "Piecewise((exp(-c) + c - 1 + (exp(-c) - 1)*(x + c), x < -c), (exp(x) - x - 1, x < c), "
        "(exp(c) - c - 1 + (exp(c) - 1)*(x - c), True))",
        "linex(1) with its residual clipped in g'",
        "to see that clipping kills zero-avoiding",
        Expected(bounded_gradient=True),
        {"c": "2"},
        where=("c > 0",),
    ),
    NamedLoss(
        "power",
        "Abs(x)**p/p",
        "L_p regression",
        "zero-forcing for p > 1, never zero-avoiding",
        Expected(
            zero_forcing="p > 1",
            symmetric="p == 1",
            even=True,
            bounded_gradient="p == 1",
            convex="p >= 1",
        ),
        {"p": None},
        where=("p > 0",),
        examples=("3", "3/2", "1/2"),
    ),
    NamedLoss(
        "quartic",
        "x**4/4",
        "power(4)",
        "zero-forcing, flat near agreement: no local chi-square",
        Expected(zero_forcing=True, even=True),
    ),
    NamedLoss(
        "exponential_absolute",
        "exp(Abs(x)) - Abs(x) - 1",
        "split_linex(-1, 1) written out",
        "as shifted_cosh, with a third derivative that jumps",
        Expected(True, True, even=True),
    ),
    NamedLoss(
        "exponential_square",
        "exp(x**2/2) - 1",
        "g' = x exp(x^2/2)",
        "both properties, beyond every exponential",
        Expected(zero_forcing=True, zero_avoiding=True, even=True),
    ),
    NamedLoss(
        "area_sinh",
        "x*asinh(x) - sqrt(1 + x**2) + 1",
        "g' = asinh(x)",
        "zero-forcing with a gradient that grows like log|x|",
        Expected(zero_forcing=True, even=True),
    ),
    NamedLoss(
        "log_growth",
        "(1 + Abs(x))*log(1 + Abs(x)) - Abs(x)",
        "g' = sign(x) log(1 + |x|)",
        "zero-forcing with a gradient that grows like log|x|",
        Expected(zero_forcing=True, even=True),
    ),
    NamedLoss(
        "loglog_growth",
        "(1 + Abs(x))*log(1 + log(1 + Abs(x))) - (Ei(1 + log(1 + Abs(x))) - Ei(1))/E",
        "g' = sign(x) log(1 + log(1 + |x|))",
        "to see that no zero-forcing loss is the slowest",
        Expected(zero_forcing=True, even=True),
    ),
    NamedLoss(
        "borderline_avoiding",
        "Piecewise((exp(x) - x - 1, x < 0), ((Ei(1 + x) - Ei(1))/E - log(1 + x), True))",
        "g' = (e^x - 1)/(1 + x) for x > 0",
        "just zero-avoiding: int dx/x diverges",
        Expected(zero_avoiding=True),
    ),
    NamedLoss(
        "borderline_bounded",
        "Piecewise((exp(x) - x - 1, x < 0), ((Ei(1 + x) - Ei(1))/E - (exp(x) - 1)/(1 + x), True))",
        "g' = (e^x - 1)/(1 + x)^2 for x > 0",
        "just not zero-avoiding: int dx/x^2 converges",
        Expected(),
    ),
)

LOSSES: tuple[NamedLoss, ...] = (*_CLASSICAL, *_ROBUST_STATISTICS, *_SHAPES)
