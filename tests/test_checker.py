"""Certificates: every one verifies, and none with any step altered does."""

import contextlib
import copy
import json

import pytest
import sympy as sp

from divergence_lab.theory.answers.derivation import derive, to_json
from divergence_lab.theory.answers.wording import step_in_latex
from divergence_lab.theory.checker.certificate import Step, cites, claim_of, seal
from divergence_lab.theory.checker.documents import check, check_one, examine
from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.kinds.table import KINDS
from divergence_lab.theory.checker.replay import check_verdict, read_parts
from divergence_lab.theory.checker.rules.table import RULES
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.divergence.weightings import on_policy_equivalent, weighting
from divergence_lab.theory.expressions.parsing import parse
from divergence_lab.theory.expressions.printing import write
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.expressions.syntax import ExpressionError
from divergence_lab.theory.verdicts.decision import decide
from divergence_lab.theory.verdicts.searches import SEARCHES

LOSSES = [
    "quadratic",
    "linex(1)",
    "linex(1/2)",
    "shifted_cosh",
    "Abs(x)",
    "log(cosh(x))",
    "sqrt(1 + x**2) - 1",
    "Piecewise((x**2/2, Abs(x) <= 1), (Abs(x) - 1/2, True))",
    "1 - exp(-x**2/2)",
    "Max(x, 0)**2",
    "x**3",
    "Piecewise((-x/4, x < 0), (3*x/4, True))",
    "Piecewise(((1 - x)*log(1 - x) + x, x < 0), (exp(x)/(1 + x) - 1, True))",
]


def certificate(text, assumptions=()):
    return json.loads(
        json.dumps(to_json(derive(loss(text, assumptions), budget=60.0)))
    )  # also on a busy machine


@pytest.fixture(scope="module")
def certificates():
    return {text: certificate(text) for text in LOSSES}


@pytest.fixture(scope="module")
def parts(certificates):
    return {text: read_parts(entry) for text, entry in certificates.items()}


def holds_up(kind, verdict, parts):
    try:
        check_verdict(kind, verdict, parts)
    except (Rejected, ExpressionError, KeyError, TypeError, AttributeError):
        return False
    return True


def reseal(verdict, kind):
    """The words, the citations and the seal made to fit the altered data again, as a forger
    would.
    """
    for step in verdict["steps"]:
        data = {k: v for k, v in step.items() if k not in ("rule", "claim")}
        with contextlib.suppress(KeyError, ValueError, AttributeError):
            step["claim"] = claim_of(step["rule"], data)
    with contextlib.suppress(KeyError, TypeError):
        verdict["cites"] = cites(kind, verdict["steps"])
    verdict["seal"] = seal(verdict)
    return verdict


def resealed(entry, kind):
    reseal(entry[kind], kind)
    return entry


def test_every_certificate_verifies(certificates):
    assert check(list(certificates.values())) == []


def test_every_decided_verdict_has_steps(certificates):
    for entry in certificates.values():
        for kind in KINDS:
            verdict = entry[kind]
            assert (verdict["holds"] is None) == (not verdict["steps"])


def test_any_altered_field_of_any_step_is_rejected(certificates, parts):
    count = 0
    for text, entry in certificates.items():
        for kind in KINDS:
            for number, step in enumerate(entry[kind]["steps"]):
                for key, value in step.items():
                    altered = copy.deepcopy(entry[kind])
                    altered["steps"][number][key] = (
                        value + "1"
                        if key != "rule"
                        else "witness"
                        if value != "witness"
                        else "sign"
                    )
                    assert not holds_up(kind, altered, parts[text]), (text, kind, number, key)
                    count += 1
    assert count > 300


@pytest.mark.parametrize(
    "key, new",
    [
        ("limit", "5"),
        ("sign", "<= 0"),
        ("f", "x + 17"),
        ("low", "-3"),
        ("high", "3"),
        ("jump", "-2"),
        ("end", "7"),
        ("diverges", "maybe"),
        ("scale", "1/x"),
        ("of", "curvature"),
    ],
)
def test_a_forger_who_mends_words_and_seal_is_rejected(certificates, parts, key, new):
    tried = 0
    for text, entry in certificates.items():
        for kind in KINDS:
            for number, step in enumerate(entry[kind]["steps"]):
                if key in step and step[key] != new:
                    altered = copy.deepcopy(entry[kind])
                    altered["steps"][number][key] = new
                    assert not holds_up(kind, reseal(altered, kind), parts[text]), (
                        text,
                        kind,
                        number,
                        step,
                    )
                    tried += 1
    assert tried


def test_the_opposite_verdict_is_rejected(certificates, parts):
    for text, entry in certificates.items():
        for kind in KINDS:
            if entry[kind]["holds"] is not None:
                altered = {**copy.deepcopy(entry[kind]), "holds": not entry[kind]["holds"]}
                assert not holds_up(kind, reseal(altered, kind), parts[text]), (text, kind)


def test_a_missing_step_is_rejected(certificates, parts):
    for text, entry in certificates.items():
        for kind in KINDS:
            for number in range(len(entry[kind]["steps"])):
                altered = copy.deepcopy(entry[kind])
                del altered["steps"][number]
                if kind == "symmetric" and altered["holds"] is False and len(altered["steps"]) >= 1:
                    continue  # of several jumps that break the symmetry one pair is enough
                assert not holds_up(kind, reseal(altered, kind), parts[text]), (text, kind)


@pytest.mark.parametrize(
    "key, new",
    [
        ("loss", "x**2/2 + x**4/10**9"),
        ("generator", "t - log(t) - 1 + (t-1)**2/10**9"),
        ("f_at_zero", "3"),
        ("pieces", []),
    ],
)
def test_other_altered_parts_are_rejected(certificates, key, new):
    altered = copy.deepcopy(certificates["linex(1)"])
    altered[key] = new
    assert check_one(altered)


def test_malformed_documents_are_failures_not_crashes():
    for document in (
        3,
        "x",
        None,
        {},
        [{}],
        [3],
        {"loss": "x"},
        [{"loss": "__import__('os')", "pieces": []}],
    ):
        assert check(document)


FAMILIES = [
    ("linex(alpha)", ()),
    ("(cosh(k*x) - 1)/k**2", ()),
    ("Abs(x)**p/p", ("p > 0",)),
    ("x**2*exp(a*x)", ()),
    ("c*(exp(x) - x - 1) + (1 - c)*x**2/2", ("c > 0", "c < 1")),
    ("Piecewise(((exp(a*x) - a*x - 1)/a**2, x < 0), ((exp(b*x) - b*x - 1)/b**2, True))", ()),
]


def merged(first, last):
    """One cell from the first to the last, as a forger would have it who hides what lies
    between.
    """
    if "equation" in first:
        return {**first, "equation": f"2*({first['equation']}) + 1"}
    if "parameter" in first:
        return {**first, "high": last["high"]}
    pairs = zip(first["ranges"].split("; "), last["ranges"].split("; "))
    whole = [a.partition("..")[0] + ".." + b.partition(": ")[2].split("..")[-1] for a, b in pairs]
    return {**first, "ranges": "; ".join(whole)}


MALFORMED = (None, 3, True, "", "x", "oo", "1/0", "a: b: c", "))", [], {}, ["x"])


@pytest.mark.parametrize(
    "text, assumptions",
    [
        ("log(cosh(x))", ()),
        ("Abs(x)", ()),
        ("x**3", ()),
        ("1/(5 - x)", ()),
        pytest.param("linex(alpha)", (), marks=pytest.mark.slow),
        pytest.param(*FAMILIES[-1], marks=pytest.mark.slow),
    ],
    ids=lambda v: str(v)[:20],
)
def test_whatever_is_missing_or_of_another_form_is_a_rejection_and_no_crash(text, assumptions):
    whole = certificate(text, assumptions)
    assert check_one(whole) == []
    for kind in KINDS:
        entry = alone(whole, kind)
        assert check_one(entry) == []
        for key in entry[kind]:
            altered = copy.deepcopy(entry)
            del altered[kind][key]
            assert check_one(altered), (kind, key)
        assert check_one({key: value for key, value in entry.items() if key != kind}), kind
        for number, step in enumerate(entry[kind]["steps"]):
            hints = {"at", "scale"} if step["rule"] == "cell" else set()  # a cell may do without
            for key in step.keys() - hints:
                altered = copy.deepcopy(entry)
                del altered[kind]["steps"][number][key]
                assert check_one(resealed(altered, kind) if key != "claim" else altered), (
                    kind,
                    number,
                    key,
                )
            altered = copy.deepcopy(entry)
            altered[kind]["steps"][number]["more"] = "x"
            assert check_one(resealed(altered, kind)), (kind, number)
    one = next(kind for kind in KINDS if whole[kind]["steps"])
    entry = alone(whole, one)
    for value in MALFORMED:
        for key in (key for key in entry[one] if entry[one][key] != value):
            assert check_one({**entry, one: {**entry[one], key: value}}), (key, value)
        for key in (key for key, was in entry[one]["steps"][0].items() if was != value):
            altered = copy.deepcopy(entry)
            altered[one]["steps"][0][key] = value
            if isinstance(value, str) and key != "claim":
                resealed(altered, one)
            assert check_one(altered), (key, value)
        for key in entry:
            check_one(
                {**entry, key: value}
            )  # some of it may do: what counts is that it ends without an exception


def alone(entry, kind):
    """The object with one verdict; the others say nothing, so that they need not be replayed."""
    silent = reseal(
        {
            "holds": None,
            "condition": None,
            "status": "undecided",
            "because": "not asked",
            "steps": [],
        },
        "even",
    )
    entry = {
        **entry,
        **{other: silent for other in KINDS if other != kind},
        "generator": None,
        "f_at_zero": None,
        "slope_at_infinity": None,
        "dual_loss": None,
    }
    holds = entry["validity"]["holds"]
    return {**entry, "valid": holds, "why_invalid": None if holds else entry["validity"]["because"]}


@pytest.mark.parametrize(
    "text, assumptions",
    [*FAMILIES[:-1], pytest.param(*FAMILIES[-1], marks=pytest.mark.slow)],
    ids=lambda v: str(v)[:20],
)
def test_families_verify_and_their_mutants_do_not(text, assumptions):
    whole = certificate(text, assumptions)
    assert check_one(whole) == []
    for kind in KINDS:
        entry = alone(whole, kind)
        for number, step in enumerate(entry[kind]["steps"]):
            if step["rule"] == "cell":
                altered = copy.deepcopy(entry)
                altered[kind]["steps"][number]["holds"] = (
                    "false" if step["holds"] == "true" else "true"
                )
                assert check_one(resealed(altered, kind)), (kind, step)
        if entry[kind]["condition"]:
            altered = copy.deepcopy(entry)
            altered[kind]["condition"] = (
                entry[kind]["condition"].replace("1", "2").replace("0", "3")
            )
            assert check_one(resealed(altered, kind)), kind
            cells = entry[kind]["steps"]
            altered = copy.deepcopy(entry)
            altered[kind]["steps"] = [merged(cells[0], cells[-1])]
            assert check_one(resealed(altered, kind)), kind
            for number in {0, len(cells) // 2, len(cells) - 1}:  # a cell that is left out
                altered = copy.deepcopy(entry)
                del altered[kind]["steps"][number]
                assert check_one(resealed(altered, kind)), kind


@pytest.mark.parametrize(
    "text, assumptions, kind, condition",
    [
        ("linex(alpha)", (), "zero_forcing", "alpha <= 0"),
        ("linex(alpha)", (), "zero_avoiding", "alpha >= 1"),
        ("linex(alpha)", (), "symmetric", "alpha = 1/2"),
        ("linex(alpha)", (), "even", "alpha = 0"),
        ("(cosh(k*x) - 1)/k**2", (), "zero_avoiding", "k <= -1 or k >= 1"),
        ("Abs(x)**p/p", ("p > 0",), "zero_forcing", "p > 1"),
        ("Abs(x)**p/p", ("p > 0",), "convex", "p >= 1"),
        ("x**2*exp(a*x)", (), "zero_forcing", "a <= 0"),
    ],
)
def test_conditions(text, assumptions, kind, condition):
    verdict = certificate(text, assumptions)[kind]
    assert (verdict["holds"], verdict["condition"], verdict["status"]) == (
        None,
        condition,
        "proved",
    )


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("x**2/2", "slope_at_infinity", "2"),
        ("x**3", "slope_at_infinity", "oo"),
        ("Abs(x)", "slope_at_infinity", "-1"),
        pytest.param("log(cosh(x))", "slope_at_infinity", "pi/2", marks=pytest.mark.slow),
        ("exp(x) - x - 1", "f_at_zero", "2"),
        ("exp(x) - x - 1", "generator", "t*log(t) - t + 2"),
    ],
)
def test_an_altered_number_is_refused(text, key, value):
    entry = certificate(text)
    assert key not in examine(entry).not_verified and check_one(entry) == []
    assert key in [failure.where for failure in check_one({**entry, key: value})]


def test_digits_without_a_closed_form_are_enclosed():
    entry = certificate("sqrt(1 + x**2) - 1")
    assert entry["generator"] is None and "slope_at_infinity" not in examine(entry).not_verified
    digits = entry["slope_at_infinity"]
    altered = digits[:20] + str((int(digits[20]) + 1) % 10) + digits[21:]
    assert [failure.where for failure in check_one({**entry, "slope_at_infinity": altered})] == [
        "slope_at_infinity"
    ]


@pytest.mark.parametrize(
    ("text", "kind", "status", "why"),
    [
        ("exp(x) - x - 1", "even", "proved", "is enclosed, not proved"),  # a value at a point
        ("x**2/2", "zero_forcing", "enclosed", "is proved, not enclosed"),  # a limit
        (
            "exp(x) - x - 1",
            "validity",
            "enclosed",
            "is proved, not enclosed",
        ),  # a sign that its terms show
        (
            "x**2*(2 + tanh(x))",
            "validity",
            "proved",
            "is enclosed, not proved",
        ),  # a sign that only a cover shows
        ("1/(x - 2)", "validity", "proved", "without pieces an answer is enclosed"),
    ],
)
def test_a_status_says_what_the_steps_rest_on(text, kind, status, why):
    entry = certificate(text)
    assert check_one(entry) == []
    entry[kind]["status"] = status
    assert why in check_one(resealed(entry, kind))[0].why


def test_a_plain_verdict_has_no_condition():
    entry = certificate("x**2/2")
    entry["convex"]["condition"] = "always"
    assert "no parameters" in check_one(resealed(entry, "convex"))[0].why


def test_a_root_of_a_negative_number_is_not_finite_however_short_the_stretch():
    """(x - 1)^2 - 10^-30 is negative within 10^-15 of 1, where its power 3/2 is not real."""
    f = parse("((x - 1)**2 - 1/10**30)**(3/2)", x)
    with pytest.raises(Rejected):
        proofs.prove_finite(f, x, sp.S.Zero, sp.Integer(2))
    proofs.prove_finite(parse("((x - 1)**2 + 1/10**30)**(3/2)", x), x, sp.S.Zero, sp.Integer(2))


def test_powers_of_powers_are_derived():
    """x^x and x^pi differentiate to powers with other exponents: the same function by u^(a + b)
    = u^a u^b.
    """
    for text in ("Abs(x)**Abs(x) - 1", "(1 + Abs(x))**(1 + Abs(x)) - 1", "Abs(x)**pi"):
        verdicts = decide(loss(text))
        assert {
            v.status for v in (verdicts.even, verdicts.zero_forcing, verdicts.bounded_gradient)
        } == {"proved"}, text


@pytest.mark.parametrize(
    "extra", ["exp(2*x - 600)", "exp(-2*x - 600)", "x**3/10**290", "1/10**290"]
)
def test_what_thirty_digits_do_not_show_is_no_identity(extra):
    """Within 7 of 0 the altered slope agrees with the right one in hundreds of digits, and yet
    decides another verdict.
    """
    entry = certificate("x**2/2")
    for where in ("slope", "curvature", "loss"):
        altered = copy.deepcopy(entry)
        for piece in altered["pieces"]:
            piece[where] += f" + {extra}"
        assert [failure.where for failure in check_one(altered)] == ["pieces"]
    for kind in KINDS:
        for number, step in enumerate(entry[kind]["steps"]):
            if "f" in step:
                altered = copy.deepcopy(entry)
                altered[kind]["steps"][number]["f"] += f" + {extra}"
                assert check_one(resealed(altered, kind)), (kind, number)


@pytest.mark.parametrize(
    "hidden",
    [
        "sqrt((x - 5)**2*exp(x)/(1 + exp(x)) + (x - 5)**2/(1 + exp(x)))",
        "sqrt(x**2 - 10*x + 25)",
        "acosh(cosh(x - 5))",
        "Abs(x - 5)",
        "Piecewise((5 - x, x < 5), (x - 5, True))",
        "Max(x - 5, 5 - x)",
    ],
)
def test_a_kink_that_no_break_states_is_rejected(hidden):
    """All of these are |x - 5|: x^2 - |x - 5| + 5 is not convex, though its curvature is 2
    wherever there is one.
    """
    right = parse(f"x**2 - x - {hidden} + 5", x)
    entry = alone(certificate("x**2"), "convex")
    entry["loss"] = f"Piecewise((x**2, x < 0), ({write(right)}, True))"
    entry["pieces"][1]["loss"] = write(right)
    for slope in (write(sp.diff(right, x)), "2*x - 1 - sign(x - 5)"):
        entry["pieces"][1]["slope"] = slope
        assert [failure.where for failure in check_one(entry)] == ["pieces"]


@pytest.mark.parametrize(
    "text",
    [
        "a*x**2 - sqrt(x**2 - 10*x + 25) + 5",
        "a*x**2 - sqrt((x - 5)**2*(1 + exp(x))/(1 + exp(x))) + 5",
    ],
)
def test_a_hidden_kink_is_not_overlooked_for_parameters_either(text):
    assert decide(loss(text, ("a > 0",))).convex.holds is not True


def test_what_a_verdict_rests_on_is_cited_and_checked():
    entry, family = (
        certificate("exp(x) - x - 1"),
        certificate("Piecewise((x**2, x < 1), (x**2 + 1, True))"),
    )
    assert (
        entry["zero_avoiding"]["cites"],
        entry["data_processing"]["cites"],
        entry["even"]["cites"],
    ) == (["P3", "P16"], ["P5"], ["P6"])
    assert (
        family["validity"]["steps"]
        and family["validity"]["cites"] == [] == family["convex"]["cites"]
    )
    for wrong in ([], ["P3"], ["P3", "P17"], "P3"):
        altered = {**entry["zero_avoiding"], "cites": wrong}
        altered["seal"] = seal(altered)
        assert "cited" in check_one({**entry, "zero_avoiding": altered})[0].why


def test_every_step_reads_as_mathematics(certificates):
    """In words and in LaTeX, whatever its rule: none is left out, and the braces of each formula
    close.
    """
    entries = [
        *certificates.values(),
        certificate("linex(alpha)"),
        certificate(*FAMILIES[-1]),
        *map(
            certificate,
            (
                "1/(5 - x)",
                "Piecewise((x**2, x < 1), (x**2 + 1, True))",
                "sqrt(1 - x**2) - 1",
                "Max(x, 0)",
                "sign(x)**2",
                "Heaviside(x - 1)",
                "x**(3/2)",
            ),
        ),
    ]
    seen = set()
    for entry in entries:
        for kind in KINDS:
            for given in entry[kind]["steps"]:
                one = Step(
                    given["rule"],
                    tuple((k, v) for k, v in given.items() if k not in ("rule", "claim")),
                )
                text = step_in_latex(one)
                seen.add(one.rule)
                assert (
                    text.count("{") == text.count("}")
                    and "None" not in text + one.claim
                    and "**" not in text
                ), text
    for rule, data in (
        ("unbounded", {"at": "2", "end": "oo", "f": "1/(x - 2)", "limit": "oo"}),
        ("not real", {"at": "3"}),
        ("bounded", {"of": "slope", "f": "sin(x)", "end": "oo"}),
        ("pole", {"low": "1", "high": "3", "numerator": "1", "denominator": "x - 2"}),
        ("undefined", {"parameter": "alpha", "at": "0"}),
        ("line", {"equation": "a + b - 1", "parameter": "a"}),
    ):
        seen.add(rule)
        assert step_in_latex(Step(rule, tuple(data.items()))) and claim_of(rule, data)
    assert seen == set(RULES)


def test_every_kind_of_verdict_has_a_search_and_every_other_the_proof_of_one():
    own = {name for name, kind in KINDS.items() if kind.proved_as is None}
    assert set(SEARCHES) == own
    assert {kind.proved_as for kind in KINDS.values()} - {None} <= own


@pytest.mark.parametrize("text", ["sqrt(1 + x**2) - 1", "Abs(x)**(3/2)"])
def test_a_loss_that_is_an_integral_is_held_against_its_slope(text):
    entry = json.loads(
        json.dumps(to_json(derive(on_policy_equivalent(loss(text), weighting("mixture:1/10")))))
    )
    assert (
        "Integral(" in entry["loss"]
        and entry["zero_forcing"]["holds"] is not None
        and check_one(entry) == []
    )
    for altered in (
        entry["loss"].replace("10", "11", 1),
        f"2*{entry['loss']}",
        f"{entry['loss']} + x",
        f"{entry['loss']}**2",
        "Integral(v, (v, 0, x))",
    ):
        assert check_one({**entry, "loss": altered})[0].where in ("parameters", "pieces"), altered
