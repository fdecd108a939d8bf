"""What the page shows, as a record: a member of the slider family, or a loss that was typed, and
the loss beside it; to a link and back.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from divergence_lab.app.family import PRESETS, Member, read_member
from divergence_lab.theory.catalogue.named import LOSSES, NamedLoss, holds_at
from divergence_lab.theory.expressions import ExpressionError
from divergence_lab.theory.expressions.syntax import shown

START = PRESETS["quadratic"]
LONGEST = 500
NAMES = ("left", "right", "curvature", "g", "beside")
# (zero-forcing, zero-avoiding) -> how the presets of that class are headed, in their order
CLASSES = {
    (True, False): "zero-forcing",
    (False, True): "zero-avoiding",
    (True, True): "both",
    (False, False): "neither",
}


@dataclass(frozen=True)
class Choice:
    """`typed` rules where it is not empty; the sliders keep `member` for when it is cleared.
    `beside`: the preset that is shown with it, or none.
    """

    member: Member = START
    typed: str = ""
    beside: str = ""

    @property
    def text(self) -> str:
        """g in the language of losses."""
        return self.typed or self.member.text


def from_link(query: Mapping[str, str | list[str]]) -> Choice:
    """The choice that a link's query names; what it leaves out is as at the start.

    Raises ExpressionError.
    """
    given = {name: query.get(name, text) for name, text in to_link(Choice()).items()}
    values = {name: text if isinstance(text, str) else text[-1] for name, text in given.items()}
    if len(values["g"]) > LONGEST:
        raise ExpressionError(
            f"the link's loss {shown(values['g'])} has more than {LONGEST} characters: shorten it"
        )
    beside = values["beside"].strip()
    if beside and beside not in presets():
        raise ExpressionError(
            f"the link's second loss {shown(beside)} is no preset: choose one from the list"
        )
    member = read_member(values["left"], values["right"], values["curvature"])
    return Choice(member, values["g"].strip(), beside)


def to_link(choice: Choice) -> dict[str, str]:
    """The query of the link that restores the choice, exactly."""
    member = choice.member
    return dict(
        zip(
            NAMES,
            (
                str(member.left),
                str(member.right),
                str(member.curvature),
                choice.typed,
                choice.beside,
            ),
        )
    )


def presets() -> dict[str, Choice]:
    """Every catalogue loss by name: members of the family move the sliders, the others are typed
    for the reader.
    """
    found = {name: Choice(member) for name, member in PRESETS.items()}
    for entry in LOSSES:
        values = list(entry.parameters.values())
        inside = ", ".join(values) if None not in values else entry.examples[0]
        name = f"{entry.name}({inside})" if values else entry.name
        if name not in found and entry.name != "split_linex":
            found[name] = Choice(START, name)
    return found


def by_class() -> dict[str, str]:
    """What the list of presets shows -> their names: "zero-forcing: quadratic", class by class."""
    headed = {name: _class_of(name) for name in presets()}
    return {
        f"{heading}: {name}": name
        for heading in CLASSES.values()
        for name, its in headed.items()
        if its == heading
    }


def _class_of(name: str) -> str:
    family, _, inside = name.partition("(")
    entry: NamedLoss = next(entry for entry in LOSSES if entry.name == family)
    given = [part.strip() for part in inside.removesuffix(")").split(",") if part.strip()]
    values = dict(zip(entry.parameters, given))
    expected = entry.expected
    return CLASSES[
        holds_at(expected.zero_forcing, values), holds_at(expected.zero_avoiding, values)
    ]
