"""What is printed, read as a stranger would: no word of the machinery, no advice that was followed,
no number or root that nobody can read.
"""

import pytest

from divergence_lab.cli.main import main
from divergence_lab.theory.answers.wording import readable
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.divergence.weightings import weighting
from divergence_lab.theory.expressions import ExpressionError
from divergence_lab.theory.expressions.parsing import read_assumptions
from divergence_lab.theory.verdicts import parameters

REFUSED = [
    ("x**", "something is missing after its last *"),
    ("x**2 +", "something is missing after its last +"),
    ("2x", "write 2*x for 2x"),
    ("3(x + 1)", "a product needs its *"),
    ("x\u00b2", "write **2 for \u00b2"),
    ("\u03b1*x**2", "write alpha for \u03b1"),
    ("x = 2", "a parameter gets its value by --set"),
    ("lambda*x**2", "the word lambda is taken"),
    ("lambda x: x**2", "write the expression alone"),
    ("x**2 if x > 0 else -x", "cases are written Piecewise("),
    ("[x]", "without brackets"),
    ("exp(x, 2)", "exp takes 1 argument"),
    ("x.y", "attributes are not part of the language"),
    ("x == 2", "a comparison may stand only as a condition"),
    ("Abs(x)**p", "it is 0**p there, and --assume says more"),
    ("a/x", "no finite value at x = 0"),
]


@pytest.mark.parametrize("text, message", REFUSED, ids=[ascii(row[0]) for row in REFUSED])
def test_a_text_is_refused_with_what_to_write(text, message):
    with pytest.raises(ExpressionError) as refusal:
        loss(text)
    said = str(refusal.value)
    assert message in said
    assert not any(word in said for word in ("zoo", "nan", "invalid syntax", "IfExp", "Lambda"))


@pytest.mark.parametrize(
    "text, bounds",
    [
        ("0 < a", {"a": [(">", 0)]}),
        ("0 < a < 1", {"a": [(">", 0), ("<", 1)]}),
        ("0 <= a < 3", {"a": [(">=", 0), ("<", 3)]}),
        ("a > 1 and a < 2", {"a": [(">", 1), ("<", 2)]}),
        ("a >= 1, a != 2", {"a": [(">=", 1), ("!=", 2)]}),
        ("a < b < 3", {"b": [("<", 3)], "a": [("<", 3)]}),
        ("2 > a", {"a": [("<", 2)]}),
        ("a > 0", {"a": [(">", 0)]}),
    ],
)
def test_assumptions_as_people_write_them(text, bounds):
    assert read_assumptions([text]) == bounds
    assert loss("a*x**2", [text]).assumptions == (text,)


@pytest.mark.parametrize(
    "text", ["a = 1", "a", "a positive", "0 < 1", "0 < a <", "a < a", "a >> 1"]
)
def test_what_is_no_assumption_is_refused(text):
    with pytest.raises(ExpressionError):
        read_assumptions([text])


def test_both_ends_of_a_chain_count():
    with pytest.raises(ExpressionError, match="contradict"):
        loss("a*x**2", ["0 < a < 1", "a > 2"])
    with pytest.raises(ExpressionError, match="contradicts what was assumed"):
        loss("a*x**2", ["0 < a < 1"], {"a": "1"})
    assert loss("a*x**2", ["0 < a < 1"], {"a": "1/2"}).parameters == ()


@pytest.mark.parametrize(
    "text, message",
    [
        ("mixture", "did you mean mixture:E?"),
        ("power:", "did you mean power:B?"),
        ("backwards", "did you mean backward?"),
        ("off-policy", "use one of on, backward"),
    ],
)
def test_a_sampler_that_is_misspelt(text, message):
    with pytest.raises(ExpressionError) as refusal:
        weighting(text)
    assert message in str(refusal.value)


def test_roots_get_letters_and_long_numbers_their_first_digits():
    lines = readable(
        [
            "f = exp(Root(x**3 - x - 1, 1, 2)) + Root(x**2 - 2, 1, 2) + Root(x**3 - x - 1, 1, 2)",
            "  f(2) = 1" + "0" * 60 + " +- 1e-9",
            "g = 1" + "0" * 60 + "*x**2",
            "1.00000000000000000000000000001",
        ]
    )
    assert lines[0] == "f = exp(r1) + r2 + r1"
    assert lines[1] == "  f(2) = 1" + "0" * 60 + " +- 1e-9"
    assert lines[2] == "g = 10000000...(61 digits)*x**2"
    assert lines[3] == "1.00000000000000000000000000001"
    assert lines[4] == "  where         r1 = 1.324718, the zero of x**3 - x - 1 between 1 and 2"
    assert lines[5].strip() == "r2 = 1.414214, the zero of x**2 - 2 between 1 and 2"
    assert readable(["r1*x + Root(x**2 - 2, 1, 2)"])[0] == "r1*x + z1"


def test_the_printed_answer_has_no_root_and_json_has_it(capsys):
    assert main(["derive", "Max(x**2, exp(x) - x - 1)"]) == 0
    printed = capsys.readouterr().out
    assert "Root(" not in printed and "r1 = 1.793282, the zero of" in printed
    assert main(["derive", "Max(x**2, exp(x) - x - 1)", "--json"]) == 0
    assert "Root(" in capsys.readouterr().out


def test_no_symbol_that_the_user_did_not_write():
    reason = "the sign of a~ - 1 is not known for all parameters"
    assert parameters._in_words(reason) == "a sign that depends on the parameters was not seen"
    assert parameters._in_words("it takes too long") == "it takes too long"
