"""Proofs of identities between smooth expressions in x: is a = 0, is a/b a constant?

Both sides are rewritten over independent building blocks: s = e^{x/q}, x itself, log p(s) for
irreducible p, roots of such p, and whatever other function remains. Over those an identity is one
between rational functions, which SymPy's polynomial algebra decides. A "no" only means that no
proof was found.

Every rewriting step is exact on an interval where the expression is real and smooth: if log(u v) is
real there, u v has no zero, so u and v keep the sign they have at one sample point and log(u v) =
log|u| + log|v|.
"""

import math

import sympy as sp

from divergence_lab.theory.expressions.enclosure import NotEvaluable, value_at
from divergence_lab.theory.expressions.symbols import Node, x
from divergence_lab.theory.expressions.unified import in_factors

# Rational functions with more operations than this take SymPy longer than a proof is worth here.
MAX_OPERATIONS = 3000
# Powers of a block beyond this degree are blocks of their own: x^(1 + 10^-12) must not become
# r^(10^12 + 1).
MAX_DEGREE = 200


class NoNormalForm(ValueError):
    """The expression has a part that can't be written over the building blocks (say, a factor of
    unknown sign).
    """


class NormalForm:
    """Expressions over shared building blocks, real and smooth around `sample`.

    `block[symbol]` is the expression in x that a building block stands for; `relations` holds r**d
    - p for roots.
    """

    def __init__(self, *expressions: sp.Expr, sample: sp.Expr):
        self.sample = sample
        self.block: dict[sp.Symbol, sp.Expr] = {}
        self.relations: dict[sp.Symbol, sp.Expr] = {}
        self._symbol: dict[tuple, sp.Symbol] = {}
        self._denominator: dict[sp.Expr, int] = {}
        rewritten = [_plain(expression) for expression in expressions]
        for expression in rewritten:
            self._read_rates(expression)
        self.forms = [self._convert(expression) for expression in rewritten]

    def back(self, form: Node) -> sp.Expr:
        """The expression in x that a form over the building blocks stands for."""
        while True:
            found = form.free_symbols & self.block.keys()
            if not found:
                return form
            form = form.xreplace({symbol: self.block[symbol] for symbol in found})

    def vanishes(self, form: Node) -> bool:
        """True when `form` is 0 as a rational function of the building blocks, roots reduced."""
        if sp.count_ops(form) > MAX_OPERATIONS:
            return False
        numerator = sp.expand(sp.fraction(sp.together(form))[0])
        for root, relation in self.relations.items():
            if numerator.has(root):
                numerator = sp.expand(sp.rem(numerator, relation, root))
        return numerator == 0

    # --- the building blocks
    # ---------------------------------------------------------------------------------

    def _read_rates(self, expression: Node) -> None:
        """For each monomial in an exponent, the common denominator of its rational coefficients."""
        for power in expression.atoms(sp.exp):
            for coefficient, monomial in _terms(power.args[0]):
                self._denominator[monomial] = math.lcm(
                    self._denominator.get(monomial, 1), coefficient.q
                )
        for power in expression.atoms(sp.Pow):
            if power.exp.has(x) and not power.base.has(x):  # SymPy writes exp(x*log(2)) as 2**x
                for coefficient, monomial in _terms(_exponent(power)):
                    self._denominator[monomial] = math.lcm(
                        self._denominator.get(monomial, 1), coefficient.q
                    )

    def _new(self, key: tuple, meaning: Node, **assumptions: bool) -> sp.Symbol:
        if key not in self._symbol:
            symbol = sp.Dummy(f"b{len(self._symbol)}", real=True, **assumptions)
            self._symbol[key], self.block[symbol] = symbol, meaning
        return self._symbol[key]

    def _convert(self, e: Node) -> sp.Expr:
        if e == x:
            return self._new(("x",), x)
        if e.is_Add or e.is_Mul:
            return e.func(*(self._convert(part) for part in e.args))
        if isinstance(e, sp.exp):
            return sp.Mul(*(self._exponential(c, monomial) for c, monomial in _terms(e.args[0])))
        if isinstance(e, sp.log):
            return self._logarithm(e.args[0])
        if not e.has(x):
            return e
        if isinstance(e, sp.Pow) and e.exp.is_Integer:
            return self._convert(e.base) ** e.exp
        if isinstance(e, sp.Pow) and e.exp.is_Rational:
            return self._root(self._convert(e.base), e.exp)
        if isinstance(e, sp.Pow) and not e.base.has(x):
            return sp.Mul(*(self._exponential(c, monomial) for c, monomial in _terms(_exponent(e))))
        if isinstance(e, sp.Pow) and not e.exp.has(x):
            base = sp.factor(self._convert(e.base))
            return self._new(("power", base, e.exp), self.back(base) ** e.exp)
        if isinstance(e, sp.Function) and all(isinstance(part, sp.Expr) for part in e.args):
            inner = [sp.cancel(self._convert(part)) for part in e.args]
            if isinstance(e, sp.atan | sp.erf | sp.erfi) and inner[0].could_extract_minus_sign():
                return -self._new(
                    (e.func, -inner[0]), e.func(self.back(-inner[0]))
                )  # odd functions
            return self._new((e.func, *inner), e.func(*(self.back(part) for part in inner)))
        raise NoNormalForm(f"{e.func.__name__} in {e}")

    def _exponential(self, coefficient: sp.Rational, monomial: Node) -> sp.Expr:
        if monomial == 1 and abs(coefficient) <= MAX_DEGREE:
            return sp.exp(coefficient)
        q = self._denominator.get(monomial, 1)
        if max(q, abs(coefficient * q)) > MAX_DEGREE:
            return self._new(
                ("exp", coefficient * monomial), sp.exp(coefficient * monomial), positive=True
            )
        return self._new(("exp", monomial), sp.exp(monomial / q), positive=True) ** (
            coefficient * q
        )

    def _logarithm(self, argument: Node) -> sp.Expr:
        total = sp.S.Zero
        for factor, power in self._factors(self._convert(argument)):
            meaning = self.block.get(factor)
            if factor.is_Rational:
                total += power * sum(k * sp.log(p) for p, k in sp.factorrat(factor).items())
            elif meaning is not None and _is_exponential(meaning):
                total += power * self._convert(sp.expand(sp.log(meaning)))
            elif factor.free_symbols:
                total += power * self._new(("log", factor), sp.log(self.back(factor)))
            else:
                total += power * sp.log(factor)
        return total

    def _root(self, base: Node, exponent: Node) -> sp.Expr:
        """base**(n/d), factor by factor: p**whole * r**rest with r = p**(1/d)."""
        result = sp.S.One
        for factor, power in self._factors(base):
            total = power * exponent
            if _is_exponential(self.block.get(factor)) or not factor.free_symbols:
                result *= factor**total
                continue
            whole, rest = divmod(total.p, total.q)
            if rest and total.q > MAX_DEGREE:
                power = sp.Rational(rest, total.q)
                result *= self._new(
                    ("power", factor, power), self.back(factor) ** power, positive=True
                )
            elif rest:
                meaning = self.back(factor) ** sp.Rational(1, total.q)
                root = self._new(("root", factor, total.q), meaning, positive=True)
                self.relations[root] = root**total.q - factor
                result *= root**rest
            result *= factor**whole
        return result

    def _factors(self, form: Node) -> list[tuple[Node, Node]]:
        """Positive factors with their powers, irreducible as far as SymPy can tell."""
        numerator, denominator = sp.fraction(sp.together(form))
        signed = []
        for part, side in ((numerator, 1), (denominator, -1)):
            constant, factors = sp.factor_list(part) if part.free_symbols else (part, [])
            signed += [(constant, side), *((factor, side * power) for factor, power in factors)]
        sign, positive = 1, []
        for factor, power in signed:
            if self._sign(factor) < 0:
                factor, sign = -factor, sign * (-1) ** power
            if factor != 1:
                positive.append(
                    (sp.expand(factor) if factor.free_symbols else factor, sp.Integer(power))
                )
        if sign < 0:
            raise NoNormalForm("the logarithm or root of a negative number")
        return positive

    def _sign(self, factor: sp.Expr) -> int:
        if factor.is_positive:
            return 1
        try:
            ball = value_at(self.back(factor), x, self.sample, 30)
        except NotEvaluable as reason:
            raise NoNormalForm(
                f"the sign of {factor} depends on the parameters ({reason})"
            ) from None
        if ball > 0 or ball < 0:
            return 1 if ball > 0 else -1
        raise NoNormalForm(f"the sign of {factor} was not decided")


def elementary(expression: Node) -> sp.Expr:
    """Polylogarithms of integer order <= 1 written out: SymPy's derivative of polylog(2, z)
    leaves polylog(1, z).
    """
    return (
        expression.replace(
            lambda e: isinstance(e, sp.polylog) and e.args[0].is_Integer and e.args[0] <= 1,
            lambda e: sp.expand_func(e),
        )
        if expression.has(sp.polylog)
        else expression
    )


def _plain(expression: Node) -> sp.Expr:
    """Hyperbolic functions and their inverses in exponentials and logarithms."""
    expression = elementary(expression)
    if expression.has(sp.asinh, sp.acosh, sp.atanh):
        expression = expression.replace(
            lambda e: isinstance(e, sp.asinh | sp.acosh | sp.atanh), lambda e: e.rewrite(sp.log)
        )
    if expression.has(sp.sinh, sp.cosh, sp.tanh, sp.coth, sp.sech, sp.csch):
        expression = expression.rewrite(sp.exp)
    return expression


def _is_exponential(e: Node | None) -> bool:
    return isinstance(e, sp.exp) or (isinstance(e, sp.Pow) and e.exp.has(x) and not e.base.has(x))


def _exponent(power: sp.Pow) -> sp.Expr:
    """2**x = e^{x log 2}: the exponent, with log 4 as 2 log 2."""
    return power.exp * sp.expand_log(sp.log(power.base))


def _terms(exponent: Node) -> list[tuple[sp.Rational, sp.Expr]]:
    """[(rational coefficient, monomial), ...] of an exponent; constants are multiples of 1."""
    terms = []
    for term in sp.Add.make_args(sp.expand(exponent)):
        coefficient, monomial = term.as_coeff_Mul()
        if not coefficient.is_Rational:
            coefficient, monomial = sp.S.One, term
        terms.append((coefficient, monomial))
    return terms


def vanishes(expression: sp.Expr, sample: sp.Expr) -> bool:
    """Proof that `expression` is 0 around `sample` and on as far as it is smooth; False: no
    proof found.
    """
    try:
        form = NormalForm(expression, sample=sample)
        return form.vanishes(form.forms[0])
    except NoNormalForm:
        return False


def constant_ratio(a: sp.Expr, b: sp.Expr, sample: sp.Expr) -> sp.Expr | None:
    """The constant c with a = c b on the piece around `sample`, proved; None when no proof was
    found.
    """
    try:
        normal = NormalForm(a, b, sample=sample)
        first, second = normal.forms
        if sp.count_ops(first) + sp.count_ops(second) > MAX_OPERATIONS:
            return None
        ratio = sp.cancel(sp.together(first / second))
        if not ratio.free_symbols & normal.block.keys():
            return ratio
        if not normal.relations:
            return None
        guess = _constant_at(normal, ratio)
        return guess if guess is not None and normal.vanishes(first - guess * second) else None
    except (NoNormalForm, sp.PolynomialError):
        return None


def _constant_at(normal: NormalForm, ratio: sp.Expr) -> sp.Expr | None:
    """The value that a ratio with roots in it would have to have: exact, at the sample point."""
    value = sp.radsimp(normal.back(ratio).subs(x, normal.sample))
    return value if value.is_finite and not value.has(x) else None


def simplified(expression: sp.Expr, sample: sp.Expr) -> sp.Expr:
    """The shortest of a few equal forms of a smooth expression; each step is exact algebra."""
    try:
        normal = NormalForm(expression, sample=sample)
    except NoNormalForm:
        return expression
    form = normal.forms[0]
    if sp.count_ops(form) > MAX_OPERATIONS:
        return expression
    try:
        cancelled = sp.cancel(sp.together(form))
        candidates = [
            cancelled,
            sp.expand(cancelled),
            in_factors(cancelled),
            _by_blocks(normal, cancelled),
        ]
    except (sp.PolynomialError, NotImplementedError):
        return expression
    return min(
        (expression, *(normal.back(candidate) for candidate in candidates)), key=sp.count_ops
    )


def _by_blocks(normal: NormalForm, form: sp.Expr) -> sp.Expr:
    """Collected in logarithms and other functions, each coefficient factored or in partial
    fractions.
    """
    exponentials = [symbol for symbol, meaning in normal.block.items() if _is_exponential(meaning)]
    others = [
        *(symbol for symbol in normal.block if symbol not in exponentials),
        *form.atoms(sp.log),
    ]
    numerator, denominator = form.as_numer_denom()
    if denominator.has(*others) or len(exponentials) != 1:
        return form
    total = sp.S.Zero
    for powers, coefficient in sp.Poly(numerator, *others).terms() if others else [((), numerator)]:
        quotient = sp.cancel(coefficient / denominator)
        shortest = min(
            (quotient, sp.factor(quotient), sp.apart(quotient, exponentials[0])), key=sp.count_ops
        )
        total += shortest * sp.Mul(*(symbol**power for symbol, power in zip(others, powers)))
    return total
