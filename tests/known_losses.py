"""Losses whose verdicts are known by construction, for hypothesis: sides glued at 0, their mirrors,
swaps, clips.

A side is a positive combination of atoms with g = g' = 0 at 0 (|x| apart), on x < 0 or on x > 0.
What an atom does at its end of the line is known, the atoms are linearly independent, and e^x
g''(-x) of an atom is an atom or none.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from hypothesis import strategies as st

# An atom: ("q",) x^2/2, ("a",) |x|, ("p", n) |x|^n, ("l", rate) (e^{rate x} - rate x - 1)/rate^2,
# ("s",) sqrt(1 + x^2) - 1
Atom = tuple
Side = dict  # {atom: positive Fraction}
RATES = [Fraction(n, 2) for n in (-6, -4, -3, -2, -1, 1, 2, 3, 4, 6)]
ATOMS = [("q",), ("a",), ("p", 3), ("p", 4), ("p", 6), ("s",), *(("l", rate) for rate in RATES)]


def text_of(atom: Atom, left: bool) -> str:
    """The atom as text, on x < 0 or x > 0."""
    x = "(-x)" if left else "x"
    match atom:
        case ("q",):
            return "x**2/2"
        case ("a",):
            return x
        case ("s",):
            return "(sqrt(1 + x**2) - 1)"
        case ("p", n):
            return f"{x}**{n}"
    rate = atom[1]
    return f"(exp({rate}*x) - ({rate})*x - 1)/({rate})**2"


def grows_without_bound(atom: Atom, left: bool) -> bool:
    """|g'| -> oo at the end of the line on that side."""
    if atom[0] == "l":
        return atom[1] < 0 if left else atom[1] > 0
    return atom[0] in ("q", "p")


def swapped(atom: Atom) -> tuple[Atom, Fraction] | None:
    """The atom whose curvature is e^x g''(-x), with its factor; |x| has its atom at 0 alone."""
    if atom == ("q",):
        return ("l", Fraction(1)), Fraction(1)
    if atom == ("a",):
        return atom, Fraction(1)
    if atom[0] == "l":
        return (("q",), Fraction(1)) if atom[1] == 1 else (("l", 1 - atom[1]), Fraction(1))
    return None


@dataclass(frozen=True)
class Known:
    """A loss as two sides.

    A side is a tuple of (atom, weight); `flip`: that side falls where it should rise.
    """

    left: tuple
    right: tuple
    flip: str | None = None

    def text(self) -> str:
        parts = []
        for side, is_left in ((self.left, True), (self.right, False)):
            sign = "-" if self.flip == ("left" if is_left else "right") else ""
            parts.append(
                f"{sign}("
                + " + ".join(f"({weight})*{text_of(atom, is_left)}" for atom, weight in side)
                + ")"
            )
        return f"Piecewise(({parts[0]}, x < 0), ({parts[1]}, True))"

    def verdicts(self) -> dict[str, bool]:
        left, right = dict(self.left), dict(self.right)
        if self.flip:
            return {"valid": False}
        images = [(swapped(atom), weight) for atom, weight in self.left]
        image = (
            None
            if any(found is None for found, _ in images)
            else dict(_added((f[0], w * f[1]) for f, w in images))
        )
        return {
            "valid": True,
            "convex": True,
            "zero_forcing": any(grows_without_bound(atom, True) for atom in left),
            "zero_avoiding": any(atom[0] == "l" and atom[1] >= 1 for atom in right),
            "even": {_mirrored(atom): weight for atom, weight in self.left} == right,
            "symmetric": image == right,
            "bounded_gradient": not any(grows_without_bound(atom, True) for atom in left)
            and not any(grows_without_bound(atom, False) for atom in right),
        }

    def mirror(self) -> Known:
        """g(-x)."""
        turned = [
            tuple((_mirrored(atom), weight) for atom, weight in side)
            for side in (self.right, self.left)
        ]
        return Known(*turned, {"left": "right", "right": "left"}.get(self.flip))

    def scaled(self, factor: Fraction) -> Known:
        sides = [
            tuple((atom, factor * weight) for atom, weight in side)
            for side in (self.left, self.right)
        ]
        return Known(*sides, self.flip)

    def plus(self, other: Known) -> Known:
        return Known(tuple(_added(self.left + other.left)), tuple(_added(self.right + other.right)))

    def clipped_verdicts(self) -> dict[str, bool]:
        """Those of the loss whose residual is clipped in its gradient (Proposition 18)."""
        return {
            "valid": True,
            "convex": True,
            "zero_forcing": False,
            "zero_avoiding": False,
            "bounded_gradient": True,
            "even": self.verdicts()["even"],
        }


def symmetric_completion(left: tuple) -> Known | None:
    """The loss with this left side whose divergence is symmetric, where the atoms can say it."""
    if any(swapped(atom) is None for atom, _ in left):
        return None
    return Known(left, tuple(_added((swapped(atom)[0], weight) for atom, weight in left)))


def _mirrored(atom: Atom) -> Atom:
    return ("l", -atom[1]) if atom[0] == "l" else atom


def _added(terms) -> list:
    total: dict = {}
    for atom, weight in terms:
        total[atom] = total.get(atom, 0) + weight
    return sorted(total.items(), key=str)


weights = st.sampled_from([Fraction(n, d) for n in (1, 2, 3, 5) for d in (1, 2, 3)])


def sides(atoms=ATOMS, most: int = 2):
    """Sides of up to `most` atoms."""
    return (
        st.lists(st.tuples(st.sampled_from(atoms), weights), min_size=1, max_size=most)
        .map(_added)
        .map(tuple)
    )


known_losses = st.builds(Known, sides(), sides())
# One atom a side and few weights: SymPy remembers the parts, so that thousands of these are decided
# in a minute.
cheap_sides = st.tuples(
    st.sampled_from([atom for atom in ATOMS if atom != ("s",)]),
    st.sampled_from([Fraction(1), Fraction(2), Fraction(1, 3)]),
).map(lambda side: (side,))
cheap_losses = st.builds(Known, cheap_sides, cheap_sides)
