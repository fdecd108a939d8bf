"""Mathematics on a page: sentences and formulas as MathML, which every browser draws by itself.

A verdict's sentence is plain ASCII, as a terminal shows it: "f'(oo) = int g'(x) e^(-x) dx = oo, by
comparison with 1/x". `sentence` finds the formulas in it and sets them; the words stay as they are.

    formula  =  sum (relation sum)*        relation: = < > <= >= != ->
    sum      =  product (+ or - product)*
    product  =  power (* or / power)*      "g'(x) e^(-x)": a call or a power of e may follow bare
    power    =  part (^ or ** power)?
    part     =  number, name, name(...), (...), |...|, int ... dx, (a, b)

A parse takes as many tokens as it can and gives back what it set and where it stopped; a token that
begins no formula is a word. So nothing can fail: what is not understood is shown as written.
"""

import re
from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

import sympy as sp

from divergence_lab.theory.expressions.printing import write_mathml

TOKEN = re.compile(
    r"(?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
    r"|(?P<name>[^\W\d_]\w*)"
    r"|(?P<sign>\*\*|->|<=|>=|==|!=|\|\||[-+*/^=<>()|,'])"
    r"|(?P<infinity>∞)"
    r"|(?P<other>\S)"
)
GREEK = dict(
    alpha="α", beta="β", gamma="γ", delta="δ", epsilon="ε", zeta="ζ", eta="η", theta="θ", kappa="κ",
    lam="λ", lamda="λ", mu="μ", nu="ν", xi="ξ", pi="π", rho="ρ", sigma="σ", tau="τ", phi="φ",
    chi="χ", psi="ψ", omega="ω",
)  # fmt: skip
RELATIONS = {
    "=": "=", "==": "=", "<": "&lt;", ">": "&gt;", "<=": "≤", ">=": "≥", "!=": "≠", "->": "→",
    "||": "‖",
}  # fmt: skip
CALLED = ("f", "g", "h", "D_f", "exp", "log", "sqrt", "Abs")  # may stand bare behind a factor
MINUS, NEGATIVE, TIMES = "<mo>−</mo>", '<mo form="prefix">−</mo>', "<mo>⁢</mo>"
BEFORE_CALL = '<mo rspace="0.17em">⁢</mo>'  # t log(t): a space, so that no name grows out of t
SHORT = re.compile(  # a fraction that may lie on the line of an exponent, where no factor follows
    r"<mfrac>(<m[in]>[^<]*</m[in]>)(<m[in]>[^<]*</m[in]>)</mfrac>(?!<mo[^>]*>[⁢·])"
)
OPEN, CLOSE = (f'<mo stretchy="false">{bracket}</mo>' for bracket in "()")
PRIME = {1: "′", 2: "″", 3: "‴"}


class Token(NamedTuple):
    """A piece of the text: what it is, as written, and where it begins and ends."""

    kind: str
    text: str
    start: int
    end: int


class Found(NamedTuple):
    """What was set, and the token behind it; `inside`: the parts, where it is all in brackets."""

    mathml: str
    at: int
    inside: tuple[str, ...] = ()

    @property
    def bare(self) -> str:
        """Without brackets around the whole: a numerator, a denominator, an exponent need none."""
        return self.inside[0] if len(self.inside) == 1 else self.mathml


Tokens = Sequence[Token]
END = Token("end", "", -1, -1)


def sentence(text: str) -> str:
    """A sentence with its formulas set, as HTML.

    >>> print(sentence("R&D: the limit is oo"))
    R&amp;D: the limit is <math><mn>∞</mn></math>
    """
    return "".join(
        part if k % 2 else escape(part, quote=False) for k, part in enumerate(parts_of(text))
    )


def parts_of(text: str) -> list[str]:
    """The sentence cut in words, MathML, words, MathML, ..., words.

    >>> parts_of("it tends to oo")
    ['it tends to ', '<math><mn>∞</mn></math>', '']
    """
    tokens, parts, behind, at = tokens_of(text), [], 0, 0
    while at < len(tokens):
        found = _formula(tokens, at) if _may_begin(tokens, at) else None
        if found is None or not _is_mathematics(tokens[at : found.at]):
            at += 1
            continue
        parts += [_in_words(text[behind : tokens[at].start]), f"<math>{found.mathml}</math>"]
        behind, at = tokens[found.at - 1].end, found.at
    return [*parts, _in_words(text[behind:])]


def _in_words(text: str) -> str:
    """What stands between formulas: "is <= 0 on" has a sign all the same."""
    return text.replace("<=", "≤").replace(">=", "≥")


def formula(text: str) -> str:
    """A whole text as one formula; as written where it is none.

    >>> print(formula("x**2/2"))
    <math><mfrac><mrow><msup><mi>x</mi><mn>2</mn></msup></mrow><mn>2</mn></mfrac></math>
    """
    tokens = tokens_of(text)
    found = _formula(tokens, 0)
    if found is None or found.at < len(tokens):
        return f"<code>{escape(text, quote=False)}</code>"
    return f"<math>{found.mathml}</math>"


def expression(given: sp.Expr, left: str = "") -> str:
    """A SymPy expression in display style, after "f(t) =" or another `left` that `sentence` can
    set.
    """
    found = _sum(tokens_of(left), 0) if left else None
    before = f"{found.mathml}<mo>=</mo>" if found else ""
    return f'<math displaystyle="true"><mrow>{before}{write_mathml(given)}</mrow></math>'


def tokens_of(text: str) -> list[Token]:
    """The numbers, names and signs of a text; anything else is a token of its own letter."""
    return [Token(match.lastgroup or "", match[0], *match.span()) for match in TOKEN.finditer(text)]


def _token(tokens: Tokens, at: int) -> Token:
    return tokens[at] if 0 <= at < len(tokens) else END


def _touches(tokens: Tokens, at: int) -> bool:
    """Does the token stand close to the one before it?"""
    return 0 < at < len(tokens) and tokens[at - 1].end == tokens[at].start


# --- what is a formula and what is a word


def _may_begin(tokens: Tokens, at: int) -> bool:
    """A hyphen or a comma begins nothing within a sentence, nor does a sign behind a word."""
    token = tokens[at]
    if token.text in ("'", ",", "*", "/", "^", "**", "+", "||") or token.text in RELATIONS:
        return False
    return not (token.text == "-" and _touches(tokens, at))


def _is_mathematics(part: Tokens) -> bool:
    """More than a number in the text, or than the article "a"."""
    if len(part) == 1:
        token = part[0]
        return token.kind == "infinity" or token.text in ("oo", "x", "t", "g", "f", *GREEK)
    return any(
        token.kind in ("sign", "infinity") or token.text in ("oo", "int") for token in part
    ) and any(token.kind in ("name", "number", "infinity") for token in part)


def _is_letter(tokens: Tokens, at: int) -> bool:
    """A name that is a letter of a formula: short, Greek, called, or beside a sign that only
    formulas have.
    """
    name = tokens[at].text
    if name in ("is", "at", "by", "so", "or", "of", "to", "no", "on", "if", "as", "it", "be", "in"):
        return False
    if (
        len(name) == 1
        or name in GREEK
        or "_" in name
        or re.fullmatch(r"[A-Za-z]\d+|oo|int|True", name)
    ):
        return True
    if _touches(tokens, at + 1) and _token(tokens, at + 1).text == "(":
        return True
    before, after = _token(tokens, at - 1).text, _token(tokens, at + 1).text
    only = {"*", "/", "^", "**", *RELATIONS}
    return before in only or after in only


# --- the grammar


def _formula(tokens: Tokens, at: int) -> Found | None:
    found = _sum(tokens, at)
    while found and (sign := _token(tokens, found.at).text) in RELATIONS:
        right = _sum(tokens, found.at + 1)
        if right is None:
            break
        relation = f'<mo stretchy="false">{RELATIONS[sign]}</mo>'
        found = Found(found.mathml + relation + right.mathml, right.at)
    return found


def _sum(tokens: Tokens, at: int) -> Found | None:
    negative = _token(tokens, at).text == "-"
    found = _product(tokens, at + negative)
    if found is None:
        return None
    if negative:
        found = Found(NEGATIVE + found.mathml, found.at)
    while (sign := _token(tokens, found.at).text) in ("+", "-"):
        after = _token(tokens, found.at + 1)
        right = _product(tokens, found.at + 1)
        hyphen = sign == "-" and _touches(tokens, found.at) and after.kind == "name"
        if right is None or (hyphen and not _is_letter(tokens, found.at - 1)):
            break
        found = Found(
            found.mathml + (MINUS if sign == "-" else "<mo>+</mo>") + right.mathml, right.at
        )
    return found


def _product(tokens: Tokens, at: int) -> Found | None:
    found = _power(tokens, at)
    while found:
        sign = _token(tokens, found.at).text
        bare = _follows_bare(tokens, found.at)
        right = _power(tokens, found.at + (not bare)) if bare or sign in ("*", "/") else None
        if right is None:
            return found
        if sign == "/" and not bare:
            found = Found(f"<mfrac>{_row(found.bare)}{_row(right.bare)}</mfrac>", right.at)
        else:
            called = BEFORE_CALL if re.match(r"<mi>\w\w", right.mathml) else TIMES
            dot = "<mo>·</mo>" if right.mathml.startswith("<mn>") else called
            found = Found(found.mathml + dot + right.mathml, right.at)
    return None


def _follows_bare(tokens: Tokens, at: int) -> bool:
    """A factor without a sign: g'(x) e^(-x), t f(1/t)."""
    token, after = _token(tokens, at), _token(tokens, at + 1).text
    return (
        token.text.partition("_")[0] == "int" or (token.text == "e" and after in ("^", "**"))
    ) or (token.text in CALLED and after in ("(", "'") and _touches(tokens, at + 1))


def _power(tokens: Tokens, at: int) -> Found | None:
    found = _part(tokens, at)
    if found is None or _token(tokens, found.at).text not in ("^", "**"):
        return found
    negative = _token(tokens, found.at + 1).text == "-"
    above = _power(tokens, found.at + 1 + negative)
    if above is None:
        return found
    raised = _raised(NEGATIVE * negative + above.bare)
    return Found(f"<msup>{_row(found.mathml)}{raised}</msup>", above.at)


def _part(tokens: Tokens, at: int) -> Found | None:
    token = _token(tokens, at)
    if token.kind == "number":
        return Found(f"<mn>{token.text}</mn>", at + 1)
    if token.text in ("oo", "∞"):
        return Found("<mn>∞</mn>", at + 1)
    if token.text.partition("_")[0] == "int":
        return _integral(tokens, at)
    if token.text == "sum":
        inside = _product(tokens, at + 1)
        return inside and Found(f"<mo>∑</mo>{inside.mathml}", inside.at)
    if token.kind == "name" and _is_letter(tokens, at):
        return _named(tokens, at)
    if token.text == "|":
        return _between(tokens, at, "|")
    return _between(tokens, at, ")") if token.text == "(" else None


def _integral(tokens: Tokens, at: int) -> Found | None:
    """int g'(x) e^(-x) dx, int^oo 1/x dx, int_1^t g'(log(s))/s^2 ds"""
    below = tokens[at].text.partition("_")[2]
    above = _part(tokens, at + 2) if _token(tokens, at + 1).text == "^" else None
    inside = _product(tokens, above.at if above else at + 1)
    if inside is None:
        return None
    ends = _row(f"<mi>{below}</mi>" * bool(below)) + _row(above.mathml if above else "")
    sign = f"<msubsup><mo>∫</mo>{ends}</msubsup>" if below or above else "<mo>∫</mo>"
    if re.fullmatch("d[a-z]", _token(tokens, inside.at).text):
        variable = _token(tokens, inside.at).text[1]
        return Found(
            f"{sign}{inside.mathml}<mspace width='0.17em'></mspace><mi>d</mi><mi>{variable}</mi>",
            inside.at + 1,
        )
    return Found(sign + inside.mathml, inside.at)


def _named(tokens: Tokens, at: int) -> Found | None:
    name, behind = tokens[at].text, at + 1
    while _token(tokens, behind).text == "'" and _touches(tokens, behind):
        behind += 1
    primes = behind - at - 1
    letter = _letter(name)
    if primes:
        prime = PRIME.get(primes, "′" * primes)
        letter += f'<mo form="postfix" lspace="0" rspace="0">{prime}</mo>'
    if _token(tokens, behind).text != "(" or not _touches(tokens, behind):
        return Found(letter, behind)
    inside = _arguments(tokens, behind)
    if inside is None:
        return Found(letter, behind) if len(name) == 1 else None
    given, behind = inside
    if name in FUNCTIONS and not primes:
        return Found(FUNCTIONS[name](given), behind)
    return Found(f"{letter}{OPEN}{_listed(given)}{CLOSE}", behind)


def _letter(name: str) -> str:
    """A letter, with what stands below it: p_F, r1."""
    stem, _, below = name.partition("_")
    if not below and (numbered := re.fullmatch(r"([A-Za-z])(\d+)", name)):
        stem, below = numbered.groups()
    letter = f"<mi>{GREEK.get(stem, stem)}</mi>"
    return f"<msub>{letter}<mi>{GREEK.get(below, below)}</mi></msub>" if below else letter


def _arguments(tokens: Tokens, at: int) -> tuple[list[Found], int] | None:
    """What stands in the brackets that begin there, split at the commas, and what is behind."""
    found, here = [], at + 1
    while True:
        one = _beside(tokens, here) or _formula(tokens, here)
        if one is None:
            return None
        found.append(one)
        sign, here = _token(tokens, one.at).text, one.at + 1
        if sign == ")":
            return found, here
        if sign != ",":
            return None


def _beside(tokens: Tokens, at: int) -> Found | None:
    """0+ and 0-: from one side"""
    number, sign, end = (_token(tokens, at + k) for k in range(3))
    if number.kind != "number" or sign.text not in ("+", "-") or end.text != ")":
        return None
    side = sign.text.replace("-", "−")
    return Found(
        f'<mn>{number.text}</mn><mo form="postfix" lspace="0" rspace="0">{side}</mo>', at + 2
    )


def _between(tokens: Tokens, at: int, close: str) -> Found | None:
    """(...), also an interval (a, b); |...|"""
    if close == "|":
        inside = _sum(tokens, at + 1)
        if inside is None or _token(tokens, inside.at).text != "|":
            return None
        return Found(_bars(inside), inside.at + 1)
    found = _arguments(tokens, at)
    if found is None:
        return None
    parts = tuple(part.mathml for part in found[0])
    return Found(f"<mrow>{OPEN}{_listed(found[0])}{CLOSE}</mrow>", found[1], parts)


def _listed(parts: Sequence[Found]) -> str:
    return "<mo>,</mo>".join(part.mathml for part in parts)


def _raised(mathml: str) -> str:
    return _row(SHORT.sub(r'\1<mo lspace="0" rspace="0">/</mo>\2', mathml))


def _row(mathml: str) -> str:
    """One element, as a fraction and a power need it."""
    single = re.fullmatch(r"<(m[in])>[^<]*</\1>", mathml)
    return mathml if single else f"<mrow>{mathml}</mrow>"


def _bars(inside: Found) -> str:
    left, right = (f'<mo form="{side}" stretchy="false">|</mo>' for side in ("prefix", "postfix"))
    return left + inside.mathml + right


def _cases(parts: Sequence[Found]) -> str:
    """Piecewise((a, condition), ...): a row each"""
    rows = []
    for part in parts:
        value, condition = part.inside if len(part.inside) == 2 else (part.mathml, "")
        where = condition.replace("<mi>True</mi>", "<mtext>otherwise</mtext>")
        rows.append(f"<mtr><mtd>{value}</mtd><mtd>{where}</mtd></mtr>")
    return f"<mtable>{''.join(rows)}</mtable>"


FUNCTIONS: dict[str, Callable[[Sequence[Found]], str]] = {
    "exp": lambda parts: f"<msup><mi>e</mi>{_raised(parts[0].mathml)}</msup>",
    "sqrt": lambda parts: f"<msqrt>{parts[0].mathml}</msqrt>",
    "Abs": lambda parts: _bars(parts[0]),
    "Piecewise": _cases,
}
