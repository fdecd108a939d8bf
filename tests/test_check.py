"""`check`: what derive prints is verified field by field, what is forged is refused or named,
and nothing forged is shown.
"""

import copy
import json
import random
from functools import cache

import pytest

from divergence_lab.cli.main import main
from divergence_lab.cli.theory import inversion_to_json
from divergence_lab.theory.answers.derivation import undecided_to_json
from divergence_lab.theory.answers.inverse import derive_inverse
from divergence_lab.theory.catalogue import named as catalogue
from divergence_lab.theory.checker.certificate import seal
from divergence_lab.theory.checker.documents import REQUIRED, examine
from divergence_lab.theory.checker.facts import normal_form
from divergence_lab.theory.checker.fields.names import formulas
from divergence_lab.theory.checker.kinds.table import KINDS
from divergence_lab.theory.checker.sentences import because_of
from divergence_lab.theory.divergence.inversion import invert
from divergence_lab.theory.expressions import parse, x

from .forgeries import forgeries, resealed

NAMED = formulas(catalogue.LOSSES, catalogue.DIVERGENCES)
# Plain, with kinks, no loss, with parameters, with values, sampled, inverted.
COMMANDS = (
    ("derive", "exp(x)", "log(cosh(x))", "Abs(x)", "--at", "1/10,7"),
    ("derive", "linex(alpha)", "pinball(tau)", "x**3", "1/(5 - x)"),
    ("derive", "quadratic", "sqrt(1 + x**2) - 1", "--at", "3"),
    ("derive", "quadratic", "linex(2)", "--sampler", "mixture:1/10"),
    ("derive", "linex(1)", "--sampler", "power:1/3"),
    ("invert", "t*log(t)", "Abs(t - 1)", "(t - 1)**2*exp(-t)"),
)


def printed(*command):
    """The objects that a command prints, each question with time to spare."""
    import contextlib
    import io

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main([*command, "--json", "--budget", "60"]) == 0
    return json.loads(out.getvalue())


@cache
def documents():
    return tuple(entry for command in COMMANDS for entry in printed(*command))


def called(entry):
    return f"{entry['name'] or entry['loss']} {entry.get('sampler', '')}"


def test_everything_that_is_printed_is_verified_but_what_is_undecided():
    for entry in documents():
        report = examine(entry, NAMED)
        undecided = {kind for kind in KINDS if entry[kind]["status"] == "undecided"}
        assert (report.failures, set(report.not_verified)) == ((), undecided), called(entry)


def drawn(count, seed):
    every = [
        (entry, *forgery)
        for entry in documents()
        for forgery in forgeries(
            entry,
            [
                other
                for other in documents()
                if called(other).split()[0] != called(entry).split()[0]
            ],
        )
    ]
    return random.Random(seed).sample(every, min(count, len(every)))


def refused_or_named(entry, what, forged):
    """A forgery is refused, or what was altered is not said to be verified."""
    report, before = examine(forged, NAMED), examine(entry, NAMED).not_verified
    named = set(report.not_verified) - set(before)
    return bool(report.failures) or what.partition(":")[0] in named


def test_a_forgery_is_refused_or_named():
    for entry, what, forged in drawn(40, seed=14):
        assert refused_or_named(entry, what, forged), (called(entry), what)


@pytest.mark.slow
def test_an_eighth_of_all_forgeries_are_refused_or_named():
    chosen = drawn(10**6, seed=1)[::8]
    print(f"{len(chosen)} forgeries, seed 1")
    wrong = [
        (called(entry), what)
        for entry, what, forged in chosen
        if not refused_or_named(entry, what, forged)
    ]
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("part", range(6))
def test_everything_of_the_catalogue_is_verified(part):
    """All named losses, at their examples and as families."""
    names = []
    for entry in catalogue.LOSSES:
        given = entry.examples or (
            (", ".join(map(str, entry.parameters.values())),)
            if None not in entry.parameters.values()
            else ()
        )
        names += [f"{entry.name}({values})" if values else entry.name for values in given]
        names += [f"{entry.name}({', '.join(entry.parameters)})"] if entry.parameters else []
    print(f"{len(names[part::6])} names, part {part}")
    left = {}
    for name in names[part::6]:
        (entry,) = printed("derive", name)
        report = examine(entry, NAMED)
        if report.failures or report.not_verified:
            left[name] = ([str(failure) for failure in report.failures], report.not_verified)
    assert left == {}


# --- the cases that were found


@cache
def forward_kl():
    return printed("derive", "exp(x) - x - 1")[0]


def check(tmp_path, capsys, document, *options):
    path = tmp_path / "document.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    capsys.readouterr()
    code = main(["check", str(path), *options])
    return (code, *capsys.readouterr())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("generator", "t*log(t) - 2*t + 2"),
        ("loss_derivative", "exp(x) + 7"),
        ("curvature_at_zero", "42"),
        ("name", "quadratic"),
        ("divergence", "reverse KL"),
        ("factor", "2"),
        ("dual_loss", "x**2"),
        ("f_at_zero", "7"),
        ("as_given", "exp(x)"),
        ("sampler", "mixture:1/2"),
        ("weighted_by", "p_B"),
        ("sampled_loss", "x**2/2"),
        ("parameters", ["a"]),
    ],
)
def test_an_altered_field_is_refused_whatever_the_document_asks_not_to_be_checked(
    tmp_path, capsys, field, value
):
    code, out, err = check(
        tmp_path, capsys, [{**forward_kl(), field: value, "unchecked": list(forward_kl())}]
    )
    group = {
        "factor": "divergence",
        "as_given": "gauge",
        "weighted_by": "sampler",
        "sampled_loss": "sampler",
    }.get(field, field)
    assert (
        code == 1
        and f": {group}: " in err
        and "holds" not in out
        and len(err.strip().splitlines()) == 1
    )


def test_a_sentence_that_the_steps_do_not_give_is_refused(tmp_path, capsys):
    entry = copy.deepcopy(forward_kl())
    entry["zero_avoiding"]["because"] = "not zero-avoiding: f'(oo) = 1 is finite"
    entry["zero_avoiding"]["seal"] = seal(
        {k: v for k, v in entry["zero_avoiding"].items() if k != "seal"}
    )
    code, _, err = check(tmp_path, capsys, [entry])
    assert code == 1 and "zero_avoiding: because is not what the steps say" in err


def test_what_an_undecided_verdict_says_is_never_shown_and_never_verified(tmp_path, capsys):
    entry = copy.deepcopy(forward_kl())
    entry["convex"] = resealed(
        {
            **entry["convex"],
            "holds": None,
            "status": "undecided",
            "steps": [],
            "because": "the checker found that g is not convex",
        },
        "convex",
    )
    code, out, err = check(tmp_path, capsys, [entry])
    assert code == 0 and "not verified: loss 1: convex" in out and "found that" not in out + err
    (row,) = json.loads(check(tmp_path, capsys, [entry], "--json")[1])
    assert row == {"loss": "linex(1)", "holds": True, "not_verified": ["convex"], "failed": None}


def inverted(text, *assumptions):
    inversion = invert(text, assumptions)
    return inversion_to_json(inversion, derive_inverse(inversion))


@pytest.mark.parametrize(
    "text, assumptions, false_names",
    [
        (
            "t**alpha",
            [],
            [
                ("alpha-divergence with parameter alpha", "alpha*(1 - alpha)"),
                ("alpha-divergence with parameter 1 - alpha", "alpha*(alpha - 1)"),
                ("alpha-divergence with beta = alpha", "alpha*(alpha - 1)"),
                ("forward KL with parameter alpha", "alpha*(alpha - 1)"),
                ("alpha-divergence with alpha = 2", "alpha*(alpha - 1)"),
            ],
        ),
        ("-c*t*log(t)", ["c < 0"], [("forward KL", "c"), ("forward KL", "c**2")]),
    ],
)
def test_names_of_families_are_held_against_their_formulas(text, assumptions, false_names):
    entry = inverted(text, *assumptions)
    assert entry["divergence"] and not examine(entry, NAMED).failures
    assert not {"divergence", "factor"} & set(examine(entry, NAMED).not_verified)
    for name, factor in false_names:
        report = examine({**entry, "divergence": name, "factor": factor}, NAMED)
        assert [f.where for f in report.failures] == ["divergence"] or (
            "divergence" in report.not_verified
        )


def test_a_multiple_that_is_positive_for_no_parameter_is_refused():
    entry = inverted("-c*t*log(t)", "c > 0")
    assert entry["divergence"] is None
    report = examine({**entry, "divergence": "forward KL", "factor": "-c"}, NAMED)
    assert [str(f) for f in report.failures] == [
        "divergence: the factor is positive for no value of the parameters"
    ]


@pytest.mark.parametrize(
    "field, value",
    [
        ("generator", "(alpha - alpha*t + t**alpha - 2)/(alpha*(alpha - 1))"),
        ("f_at_zero", "3"),
        ("slope_at_infinity", "2"),
        ("curvature_at_zero", "alpha"),
        ("name", "linex(beta)"),
        ("divergence", "alpha-divergence with alpha = 1 - alpha"),
    ],
)
def test_what_is_false_for_parameters_is_refused(field, value):
    entry = next(entry for entry in documents() if entry["name"] == "linex(alpha)")
    assert not examine(entry, NAMED).failures
    report = examine({**entry, field: value}, NAMED)
    assert [failure.where for failure in report.failures] == [field] or field in report.not_verified


def test_a_family_with_another_value_at_zero_is_refused():
    entry = next(entry for entry in documents() if entry["name"] == "linex(alpha)")
    assert examine({**entry, "loss": entry["loss"] + " + 5"}, NAMED).failures


# --- what reaches the terminal

HOSTILE = (
    "\x1b]0;owned\x07\x1b[2J\r\neverything holds (1 loss)\n\u202eevil\u2066 " + "y" * 10_000_000
)


@pytest.mark.parametrize(
    "field",
    ["name", "loss", "divergence", "generator", "sampler", "weighted_by", "because", HOSTILE[:60]],
)
def test_nothing_of_a_document_reaches_the_terminal_raw(tmp_path, capsys, field):
    entry = copy.deepcopy(forward_kl())
    if field == "because":
        entry["convex"] |= {"because": HOSTILE}
    else:
        entry[field] = HOSTILE
    for options in ((), ("--json",)):
        code, out, err = check(tmp_path, capsys, [entry], *options)
        assert code == (0 if "\x1b" in field else 1)
        assert len(out) + len(err) < 2_000 and (out + err).isascii()
        assert (
            not any(line.startswith(("everything", " ", "[")) for line in (out + err).splitlines())
            or options
        )
        assert all(c.isprintable() or c == "\n" for c in out + err)
        assert len(err.splitlines()) == (code == 1)


@pytest.mark.parametrize(
    "document",
    [
        "[]",
        "",
        "3",
        "null",
        '"x"',
        "[3]",
        "[{}]",
        "{}",
        '[{"loss": 3}]',
        "[" * 100_000,
        '[{"loss": "x**2", "loss": "x**4"}]',
        "not json",
        "[" + "1" * 5000 + "]",
        '[{"loss": "x**2", "tried": NaN}]',
        '[{"loss": "x**2", "tried": 1e999}]',
    ],
)
def test_what_is_no_such_document_is_bad_input(tmp_path, capsys, document):
    code, out, err = check(tmp_path, capsys, document)
    assert (code, out) == (2, "") and len(err.strip().splitlines()) == 1 and len(err) < 500


@pytest.mark.parametrize(
    "value",
    [None, 3, True, "", "x", [], {}, ["x"], {"x": None}, [[]], -1.5, "))", "oo", 10**400],
    ids=lambda value: str(value)[:9],
)
def test_a_wrong_type_anywhere_is_a_rejection_and_no_crash(value):
    """Null claims nothing, and is no crash either."""
    for entry in (
        forward_kl(),
        next(entry for entry in documents() if entry["name"] == "pinball(tau)"),
    ):
        for field in entry:
            report = examine({**entry, field: value}, NAMED)
            assert (
                report.failures
                or report.not_verified
                or value in (None, [], entry[field])
                or field in ("tried", "confirmed_values", "unchecked")
            ), (field, value)
    assert len(REQUIRED) == len(set(REQUIRED))


# --- what a clever liar writes: true steps below a false sentence, fields that are held against
# nothing ----------


def entry_of(loss):
    return copy.deepcopy(next(entry for entry in documents() if entry["loss"] == loss))


def resentenced(entry, kind):
    """The verdict with the sentence that its steps give, and a seal that fits."""
    verdict = resealed(entry[kind], kind)
    because = because_of(kind, verdict["holds"], verdict["condition"], verdict["steps"])
    return {**entry, kind: resealed({**verdict, "because": because}, kind)}


def no_loss(entry, **step):
    """The whole document but one step that shows that g is none is undecided."""
    undecided = {
        "holds": None,
        "condition": None,
        "status": "undecided",
        "because": "",
        "steps": [],
    }
    forged = {
        **entry,
        **{kind: resealed(copy.deepcopy(undecided), kind) for kind in KINDS},
        "pieces": [],
        "values": [],
    }
    forged["validity"] |= {"holds": False, "status": "enclosed", "steps": [step]}
    forged = resentenced(forged, "validity")
    return {**forged, "valid": False, "why_invalid": forged["validity"]["because"]}


def with_step(entry, kind, place, **step):
    entry[kind]["steps"].insert(place, step)
    return resentenced(entry, kind)


def forged_cell(kind, number, **data):
    entry = entry_of("(exp(alpha*x) - alpha*x - 1)/alpha**2")
    entry[kind]["steps"][number] |= data
    return resentenced(entry, kind)


FORGED = {
    "a comment in a formula": lambda: (
        forward_kl() | {"generator": forward_kl()["generator"] + " # whatever the parameters"}
    ),
    "a comment in a condition": lambda: (
        (entry := entry_of("(exp(alpha*x) - alpha*x - 1)/alpha**2"))
        | {
            "f_at_zero": {
                "cases": [
                    {**case, "condition": case["condition"] + " # or always"}
                    for case in entry["f_at_zero"]["cases"]
                ]
            }
        }
    ),
    "a factor that is no number": lambda: (
        printed("derive", "exp(2*x)/2 - exp(x)")[0]
        | {"divergence": "forward KL", "factor": "exp(x)"}
    ),
    "a factor of nothing": lambda: forward_kl() | {"divergence": None},
    "f'(oo) within one unit": lambda: entry_of("log(cosh(x))") | {"slope_at_infinity": "0e1"},
    "what was given, and no gauge": lambda: forward_kl() | {"gauge": None, "as_given": "x**17"},
    "what a sampler made, and no sampler": lambda: (
        forward_kl() | {"sampler": None, "weighted_by": "p_B"}
    ),
    "a loss where a generator was given": lambda: (
        printed("invert", "t*log(t)")[0] | {"as_given": "x**17"}
    ),
    "a sampler in two lines": lambda: forward_kl() | {"sampler": "on\n"},
    "a closed form of nothing": lambda: forward_kl() | {"closed_form": "always"},
    "a key beside the verdict": lambda: resentenced(
        forward_kl() | {"convex": forward_kl()["convex"] | {"note": "seen by three referees"}},
        "convex",
    ),
    "g''= a slope": lambda: with_step(
        copy.deepcopy(forward_kl()), "convex", 3, **forward_kl()["validity"]["steps"][1]
    ),
    "g' has a third limit": lambda: with_step(
        entry_of("log(cosh(x))"),
        "bounded_gradient",
        2,
        rule="limit",
        of="curvature",
        f="1 - tanh(x)**2",
        end="oo",
        limit="0",
    ),
    "g'(-oo) = -oo": lambda: with_step(
        copy.deepcopy(forward_kl()),
        "bounded_gradient",
        0,
        rule="limit",
        of="weighted slope",
        f="(exp(x) - 1)*exp(-x)",
        end="-oo",
        limit="-oo",
    ),
    "g is not finite near oo": lambda: no_loss(
        entry_of("x**2/2"), rule="unbounded", at="oo", end="0", f="x**2/2", limit="oo"
    ),
    "a jump of 0": lambda: with_step(
        copy.deepcopy(forward_kl()), "symmetric", 0, rule="jump", at="0", jump="0"
    ),
    "a point that shows a yes": lambda: forged_cell("convex", 0, at="17"),
    "a point that shows a limit": lambda: forged_cell("zero_forcing", -1, at="17"),
    "one end written in two ways": lambda: forged_cell("zero_forcing", -1, low="1 - 1"),
}


@pytest.mark.parametrize("what", FORGED)
def test_what_a_clever_liar_writes_is_refused(what):
    forged = FORGED[what]()
    found = examine(forged, NAMED)
    assert found.failures, (what, found)


# Each is 0 wherever it has a value but at one point, or has none at that point.
AT_ONE_POINT = (
    "sign({v} - 3)**2 - 1",
    "0**Abs({v} - 3)",
    "0**(({v} - 3)**2)",
    "sign(({v} - 3)**2) - 1",
    "0**Abs({v} - {break_})",
    "Piecewise((7, Eq({v}, {break_})), (0, True))",
)


@pytest.mark.parametrize("form", AT_ONE_POINT)
@pytest.mark.parametrize(
    "field, v",
    [
        ("loss", "x"),
        ("loss_derivative", "x"),
        ("generator", "t"),
        ("dual_loss", "x"),
        ("sampled_loss", "x"),
        ("as_given", "x"),
    ],
)
def test_another_value_at_one_point_is_no_detail(field, v, form):
    entry = next(entry for entry in documents() if entry["name"] == "linex(1)")
    formula = entry[field] or entry["loss"]
    bump = form.format(v=v, break_="1" if v == "t" else "0")
    report = examine({**entry, field: f"({formula}) + {bump}"}, NAMED)
    assert report.failures or field in report.not_verified


@pytest.mark.parametrize("bump", ["0**Abs({p} - 3)", "sign({p})**2 - 1", "0**(({p} - 3)**2)"])
@pytest.mark.parametrize("field", ["generator", "factor", "gauge"])
def test_another_value_at_one_value_of_a_parameter_is_no_detail(field, bump):
    (entry,) = copy.deepcopy(printed("derive", "k*(exp(x) - 1)"))
    assert not examine(entry, NAMED).failures
    added = bump.format(p="k")
    if field == "gauge":
        entry["gauge"]["slope"] += f" + {added}"
    else:
        entry[field] += f" + {added}"
    report = examine(entry, NAMED)
    field = {"factor": "divergence"}.get(field, field)
    assert report.failures or field in report.not_verified


def test_a_point_without_a_value_is_named_wherever_the_formula_has_it():
    entry = forward_kl()
    formula = f"{entry['loss']} + log((x - 3)**2) - 2*log(Abs(x - 3))"
    for key in ("loss", "as_given"):
        assert examine({**entry, key: formula}, NAMED).failures


def test_what_an_object_without_an_answer_says_all_the_same_is_named(tmp_path, capsys):
    nothing = undecided_to_json("x**2", "no time")
    claims = {
        "sampler": "on",
        "weighted_by": "p_B",
        "as_given": "x**4",
        "left_out": ["a = 0"],
        "note": "all is verified",
    }
    assert {*claims, "'note'"} - {"note"} <= set(examine(nothing | claims, NAMED).not_verified)
    assert not set(claims) & set(examine(nothing, NAMED).not_verified)
    unfinished = {
        "given": "t*log(t)",
        "normalised": None,
        **undecided_to_json(None, "no time"),
        "closed_form": False,
    }
    assert (
        check(tmp_path, capsys, [unfinished])[0] == 0
    )  # invert writes this where its budget is over


def test_a_case_where_the_family_has_no_value_is_refused():
    (entry,) = printed("derive", "c*(sqrt(1+(x/c)**2)-1)")
    cases = entry["f_at_zero"]["cases"]
    assert not examine(entry, NAMED).failures
    assert examine(
        entry | {"f_at_zero": {"cases": [*cases, {"condition": "c = 0", "value": "17"}]}}, NAMED
    ).failures


def test_the_sentence_for_a_bounded_slope_is_true_of_one_that_leaves_its_limits():
    (entry,) = printed("derive", "x**2/(1 + x**2)")  # g' is 0 at both ends, and not between
    assert (
        entry["bounded_gradient"]["because"]
        == "g' is finite everywhere, with finite limits: 0 at -oo and 0 at oo"
    )


@pytest.mark.parametrize(
    "text, is_zero",
    [
        ("1/sqrt(exp(2*x) + 1) - exp(-x)/sqrt(1 + exp(-2*x))", True),
        ("(exp(x) + exp(2*x))**(1/3) - exp(x/3)*(1 + exp(x))**(1/3)", True),
        ("(1 + exp(-x))**(1/3) - exp(-x/3)*(1 + exp(x))**(1/3) + 1/10**300", False),
        ("sqrt(exp(x) + exp(2*x)) - exp(x)*sqrt(1 + exp(x))", False),
        ("x*sqrt(1 + exp(-x)) - x*sqrt(exp(x) + 1)*exp(-x/2)", True),
        ("x*sqrt(1 + exp(-x)) - x*sqrt(exp(x) + 1)*exp(-x/3)", False),
    ],
)
def test_exponentials_leave_roots(text, is_zero):
    """sqrt(1 + e^(-2x)) = e^(-x) sqrt(e^(2x) + 1)"""
    assert normal_form.vanishes(parse(text, x), x) is is_zero
