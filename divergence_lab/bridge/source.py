"""A verified program as source text for torch or JAX: the same operations in the same order, so
that the rounding is the same.
"""

import textwrap
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from divergence_lab.bridge.verified import arithmetic, polynomials, programs, stretches

WIDTH = 110


@dataclass(frozen=True)
class Dialect:
    """How a library calls its functions; `prefix` is its module, `series` which series e^u - 1 -
    u has near 0.
    """

    prefix: str
    names: dict[str, str]
    series: str


_SAME = {
    name: name
    for name in (
        "exp",
        "log",
        "expm1",
        "log1p",
        "sinh",
        "cosh",
        "tanh",
        "abs",
        "sign",
        "sqrt",
        "sin",
        "cos",
    )
}
TORCH = Dialect(
    "torch",
    {
        **_SAME,
        "asinh": "asinh",
        "atanh": "atanh",
        "atan": "atan",
        "erf": "erf",
        "erfc": "erfc",
        "pow": "pow",
    },
    "double",
)
JAX = Dialect(
    "jnp",
    {
        **_SAME,
        "asinh": "arcsinh",
        "atanh": "arctanh",
        "atan": "arctan",
        "erf": "jax.scipy.special.erf",
        "erfc": "jax.scipy.special.erfc",
        "pow": "power",
    },
    "single",
)
_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}


def program_lines(program: programs.Program, dialect: Dialect, result: str) -> list[str]:
    """`result = ...`; what is used more than once has a name of its own."""
    steps = program.steps
    uses = Counter(a for step in steps for a in step[1:] if isinstance(a, int))
    lines: list[str] = []
    written: list[str] = []
    for k, (name, *arguments) in enumerate(steps):
        text = _step(
            name,
            [
                written[a] if isinstance(a, int) else "z" if a == programs.X else repr(a[0])
                for a in arguments
            ],
            dialect,
        )
        if uses[k] > 1 and k < len(steps) - 1:
            lines.append(f"{result[0]}{k} = {_stripped(text)}")
            text = f"{result[0]}{k}"
        written.append(text)
    return [*lines, f"{result} = {_stripped(written[-1])}"]


def _step(name: str, arguments: list[str], dialect: Dialect) -> str:
    if name in _SIGNS:
        return (
            f"({arguments[0]} {_SIGNS[name]} {arguments[1]})".replace("+ -", "- ")
            if not (name == "sub" and arguments[1].startswith("-"))
            else f"({arguments[0]} - ({arguments[1]}))"
        )
    arguments = [_stripped(argument) for argument in arguments]
    if name == "fill":
        return f"{dialect.prefix}.where({dialect.prefix}.isnan(z), z, {arguments[0]})"
    if name in ("linex", "dilog", "away"):
        return f"_{name}({', '.join(arguments)})"
    if name == "sign":  # torch's sign of NaN is 0
        return (
            f"{dialect.prefix}.where({dialect.prefix}.isnan({arguments[0]}), {arguments[0]}, "
            f"{dialect.prefix}.sign({arguments[0]}))"
        )
    called = dialect.names[name]
    return f"{called if '.' in called else f'{dialect.prefix}.{called}'}({', '.join(arguments)})"


def _stripped(text: str) -> str:
    """Without the brackets around the whole."""
    depth = 0
    for position, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if depth == 0 and position < len(text) - 1:
            return text
    return text[1:-1] if text.startswith("(") else text


def function_source(
    name: str,
    says: str,
    found: stretches.Ranges,
    dialect: Dialect,
    edge: Callable[[float], float] = float,
) -> str:
    """`def name(z)`: the function by its ranges; `edge` rounds where stretches meet.

    Tables stand before it.
    """
    lines, tables = [], ""
    for k, (source, places) in enumerate(stretches.by_source(found)):
        result = "answer" if k == 0 else f"other{k}"
        if isinstance(source, programs.Program):
            lines += program_lines(source, dialect, result)
        else:
            mark = name.upper().strip("_")
            tables += "".join(
                f"{mark}_{what} = {_wrapped(part)}\n"
                for what, part in (
                    ("EDGES", tuple(map(edge, source.edges[1:-1]))),
                    ("MIDDLES", source.middles),
                    ("SCALES", source.scales),
                    ("ROWS", source.rows),
                )
            )
            lines.append(
                f"{result} = _polynomials(z, {mark}_EDGES, {mark}_MIDDLES, "
                f"{mark}_SCALES, {mark}_ROWS)"
            )
        if k:
            inside = " | ".join(f"({_inside(low, high, edge)})" for low, high in places)
            inside = inside[1:-1] if len(places) == 1 else inside
            lines.append(f"answer = {dialect.prefix}.where({inside}, {result}, answer)")
    wrapped = [line for text in [*lines, "return answer"] for line in _broken(text)]
    return f'{tables}\n\ndef {name}(z):\n    """{says}"""\n    ' + "\n    ".join(wrapped) + "\n"


def _inside(low: float, high: float, edge: Callable[[float], float]) -> str:
    if low == -float("inf"):
        return f"z < {edge(high)!r}"
    if high == float("inf"):
        return f"z >= {edge(low)!r}"
    return f"(z >= {edge(low)!r}) & (z < {edge(high)!r})"


def _broken(line: str) -> list[str]:
    """A long line in several, inside its brackets."""
    if len(line) <= WIDTH + 10 or "(" not in line:
        return [line] if len(line) <= WIDTH + 10 else [line.replace(" = ", " = (", 1) + ")"]
    name, _, rest = line.partition(" = ")
    return textwrap.wrap(
        f"{name} = ({rest})",
        WIDTH,
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _wrapped(part: tuple) -> str:
    return "\n    ".join(
        textwrap.wrap(repr(part), WIDTH, break_long_words=False, break_on_hyphens=False)
    )


_HELPERS = {
    "linex": '''
def _linex(u):
    """e^u - 1 - u, near 0 by its series."""
    total = u * @LAST@
    for coefficient in @MIDDLE@:
        total = (total + coefficient) * u
    return @P@.where(@P@.abs(u) < @BELOW@, (total + 0.5) * (u * u), @P@.expm1(u) - u)
''',
    "dilog": '''
def _dilog(v):
    """Li_2(v), -1 <= v <= 0, by a series in u = log(1 - v)."""
    u = @P@.log1p(-v)
    square = u * u
    total = square * @DLAST@
    for coefficient in @DMIDDLE@:
        total = (total + coefficient) * square
    return (total + -1.0 + u * -0.25) * u
''',
    "torch away": '''
def _away(z, *parts):
    """z - p, p the sum of the parts: accurate next to p, which is no binary number."""
    for part in parts:
        z = z - part
    return z
''',
    "jnp away": '''
def _away(z, *parts):
    """z - p, p the sum of the parts: accurate next to p, which is no binary number."""
    for part in parts:
        z = jax.lax.optimization_barrier(z - part)  # XLA would add the parts up first
    return z
''',
    "torch polynomials": '''
_ON_DEVICE = {}


def _polynomials(z, edges, middles, scales, rows):
    """On [edges[k-1], edges[k]]: sum_j rows[k][j] t^j, t = (z - middles[k]) scales[k]."""
    key = (id(rows), z.device) if type(z) is torch.Tensor else None  # a tensor of a trace must not outlive it
    made = _ON_DEVICE.get(key) or [
        torch.tensor(part, dtype=torch.float64, device=z.device) for part in (edges, middles, scales, rows)
    ]
    if key and type(made[0]) is torch.Tensor:
        _ON_DEVICE[key] = made
    edges, middles, scales, rows = made
    place = torch.bucketize(z.contiguous(), edges, right=True)[..., None]
    t, row = (z - middles[place][..., 0]) * scales[place][..., 0], rows[place][..., 0, :]
    total = row[..., -1]
    for k in range(rows.shape[-1] - 2, -1, -1):
        total = total * t + row[..., k]
    return total
''',  # noqa: E501 (lines of the exported text)
    "jnp polynomials": '''
def _polynomials(z, edges, middles, scales, rows):
    """On [edges[k-1], edges[k]]: sum_j rows[k][j] t^j, t = (z - middles[k]) scales[k]."""
    edges, middles, scales, rows = (jnp.asarray(part, dtype=z.dtype) for part in (edges, middles, scales, rows))
    place = jnp.searchsorted(edges, z, side="right")
    t, row = (z - middles[place]) * scales[place], rows[place]
    total = row[..., -1]
    for k in range(rows.shape[-1] - 2, -1, -1):
        total = total * t + row[..., k]
    return total
''',  # noqa: E501 (lines of the exported text)
}


def helpers(functions: list[stretches.Ranges], dialect: Dialect) -> str:
    """The definitions that the programs of `functions` need."""
    sources = [one.source for found in functions for one in found.stretches]
    names = {
        step[0]
        for source in sources
        if isinstance(source, programs.Program)
        for step in source.steps
    }
    needed = [name for name in ("linex", "dilog") if name in names]
    if "away" in names:
        needed.append(f"{dialect.prefix} away")
    if any(isinstance(source, polynomials.Table) for source in sources):
        needed.append(f"{dialect.prefix} polynomials")
    below, terms = arithmetic.LINEX_SERIES[dialect.series]
    linex, dilog = arithmetic.linex_coefficients(terms), arithmetic.dilogarithm_coefficients()
    odd = dilog[2::2]
    text = "".join("\n" + _HELPERS[name] for name in needed)
    for mark, what in (
        ("@P@", dialect.prefix),
        ("@BELOW@", repr(below)),
        ("@LAST@", repr(linex[-1])),
        ("@MIDDLE@", repr(tuple(linex[-2:0:-1]))),
        ("@DLAST@", repr(odd[-1])),
        ("@DMIDDLE@", _wrapped(tuple(odd[-2::-1]))),
    ):
        text = text.replace(mark, what)
    return text
