"""The page of presets: python -m divergence_lab.audit.presets.table > docs/libraries.md"""

from divergence_lab.audit.auditing import audit
from divergence_lab.audit.presets.named import PREFIX, PRESETS
from divergence_lab.audit.presets.preset import Preset
from divergence_lab.audit.result import Audit

HEAD = """# What popular libraries minimise

Losses and KL estimators of seven libraries, written anew from their documented formulas and
audited. `preset:NAME` audits one of them, with the residual and the placement that its library
gives it; any option given beside it takes their place:

    divergence-lab audit --presets
    divergence-lab audit preset:trl/grpo
    divergence-lab audit preset:trl/grpo --placement reward

r is what the callable is fed; *fed* says whether that is log(target/model), our x, or
log(model/target). Target and model are the reference and the policy in language-model training.
*Stands*: in the loss, in the reward, or times the policy's own ratio
([what that means](kl_terms.md)). Scale factors (beta, 2) are left out of the names. Where a library
is installed, a test holds the preset against its own code; the last table says of which versions
that was done. Made by `python -m divergence_lab.audit.presets.table`.

| preset | formula | fed | stands | minimises | zero-forcing | zero-avoiding | but |
|---|---|---|---|---|---|---|---|
"""
FOOT = """
Where each was read:

| preset | library, version | place | held against its code |
|---|---|---|---|
"""
ANSWER = {True: "yes", False: "no", None: ""}
MARK = {"|": "\\|", "_": "\\_"}


def page() -> str:
    """The whole page."""
    rows = [row_of(preset, audit(PREFIX + preset.name)) for preset in PRESETS]
    places = [
        _cells(f"`{one.name}`", f"{one.library} {one.version}", _plain(one.source), _held(one))
        for one in PRESETS
    ]
    return HEAD + "\n".join(rows) + "\n" + FOOT + "\n".join(places) + "\n"


def row_of(preset: Preset, audited: Audit) -> str:
    """A preset's line of the table."""
    stands = f"{preset.placement}, per {preset.per}"
    stands += "" if preset.baseline == "none" else f", {preset.baseline}"
    return _cells(
        f"`{preset.name}`",
        f"`{preset.formula}`",
        f"log({preset.residual})",
        stands,
        _minimised(audited),
        ANSWER[audited.zero_forcing.holds],
        ANSWER[audited.zero_avoiding.holds],
        _but(preset, audited),
    )


def _minimised(audited: Audit) -> str:
    if audited.zero_gradient:
        return "**nothing**: no expected gradient"
    if audited.divergence and not audited.because:
        return f"**{audited.divergence}**"
    if audited.because:
        return "**no f-divergence**"
    return f"D_f of `g = {audited.effective_loss}`".replace("|", "\\|")


def _but(preset: Preset, audited: Audit) -> str:
    told = [
        f"{problem.kind.replace('_', ' ')} on [{problem.low:g}, {problem.high:g}]"
        for problem in audited.problems
        if problem.low < problem.high and not audited.zero_gradient and not audited.because
    ]
    if audited.because and not audited.zero_gradient:
        told.append("later tokens' penalties count, too" if preset.per == "token" else "P29")
    return "; ".join([*told, *([preset.note] if preset.note else [])])


def _held(preset: Preset) -> str:
    return f"of {preset.held}" if preset.held else "read only"


def _plain(text: str) -> str:
    return "".join(MARK.get(letter, letter) for letter in text)


def _cells(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(page(), end="")
