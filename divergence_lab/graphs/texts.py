"""Text -> space: the environments a user can name on the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from divergence_lab.graphs import dag, generated
from divergence_lab.graphs.edges import from_edges
from divergence_lab.graphs.molecules import listed, toy
from divergence_lab.graphs.molecules.generated import generated_molecules
from divergence_lab.graphs.spaces.bits import bits, generated_bits
from divergence_lab.graphs.spaces.hypergrid import generated_hypergrid, hypergrid
from divergence_lab.graphs.spaces.sets import generated_sets, sets
from divergence_lab.graphs.spaces.trees import tree
from divergence_lab.inputs import InputError, did_you_mean, kind_of, nearest, read_json, shown

FORMS = (
    "hypergrid:2x8, hypergrid:2x8:paper, bits:8x4, sets:8x3, tree:2x4, molecules:T3, dag:FILE.json"
)
GENERATED_FORMS = (
    "generated:hypergrid:4x20, generated:bits:120x8, generated:sets:30x10, generated:molecules:8"
)
AnySpace = TypeVar("AnySpace", bound=generated.Space)
_PAPER = {"r0": 1e-4, "r1": -9.9e-5, "r2": 0.999999}
REWARDS = {
    "default": {"r0": 1e-3, "r1": 0.5, "r2": 2.0},
    # Hu et al. 2025: their released code takes x/(H-1), their text x/H
    "paper": {**_PAPER, "reading": "x/(H-1)"},
    "paper_text": {**_PAPER, "reading": "x/H"},
}


class EnvironmentTextError(InputError):
    """What names no environment; one line that says what to write."""


@dataclass(frozen=True)
class Kind(Generic[AnySpace]):
    """`pattern` of what stands after the name; `make(text, *groups)` the space, of the pattern's
    groups; `form`: how it is written.
    """

    pattern: str
    make: Callable[..., AnySpace]
    form: str


def _of_numbers(make: Callable[..., AnySpace]) -> Callable[..., AnySpace]:
    """Of whole numbers and the name."""
    return lambda text, *numbers: make(*map(int, numbers), name=text)


def _of_bits(make: Callable[..., AnySpace]) -> Callable[..., AnySpace]:
    # words of 4 bits unless told otherwise, as in the released code; the modes of seed 0
    return lambda text, n_bits, word, seed: make(
        int(n_bits), int(word or 4), seed=int(seed or 0), name=text
    )


def _of_grid(make: Callable[..., AnySpace]) -> Callable[..., AnySpace]:
    def made(text: str, dimensions: str, side: str, reward: str | None) -> AnySpace:
        if reward and reward not in REWARDS:
            raise EnvironmentTextError(
                f"environment {text!r}: reward {reward!r} is not one of "
                f"{', '.join(REWARDS)}{did_you_mean(reward, REWARDS)}"
            )
        return make(int(dimensions), int(side), **REWARDS[reward or "default"], name=text)

    return made


def _of_molecules(
    text: str, fragments: str | None, subset: str, blocks: str, folder: str
) -> dag.PointedDAG:
    if fragments:
        return toy.molecules(int(fragments), name=text)
    return listed.fragment_space(folder, subset, int(blocks), name=text).graph


GRID = r"(\d{1,6})x(\d{1,6})(?::(\w+))?"
WORDS = r"(\d{1,6})(?:x(\d{1,6}))?(?::seed(\d{1,9}))?"
TWO_NUMBERS = r"(\d{1,6})x(\d{1,6})"
GRID_FORM = "hypergrid:DIMxSIDE, such as hypergrid:2x8"
BITS_FORM = "bits:N or bits:NxK, N bits in words of K, such as bits:8x4"
SETS_FORM = "sets:NxK, K of N elements, such as sets:8x3"
TREE_FORM = "tree:BxD, B branches and depth D, such as tree:2x4"
LISTED: dict[str, Kind[dag.PointedDAG]] = {
    "hypergrid": Kind(GRID, _of_grid(hypergrid), GRID_FORM),
    "bits": Kind(WORDS, _of_bits(bits), BITS_FORM),
    "sets": Kind(TWO_NUMBERS, _of_numbers(sets), SETS_FORM),
    "tree": Kind(TWO_NUMBERS, _of_numbers(tree), TREE_FORM),
    "molecules": Kind(
        rf"T(\d{{1,3}})|({'|'.join(listed.SUBSETS)})x(\d{{1,3}}):(.+)",
        _of_molecules,
        "molecules:T1 to molecules:T5",
    ),
    "dag": Kind(r"((?s:.+))", lambda text, file: _dag_file(Path(file)), "dag:FILE.json"),
}
GENERATED: dict[str, Kind[generated.GeneratedDAG]] = {
    "hypergrid": Kind(GRID, _of_grid(generated_hypergrid), f"generated:{GRID_FORM}"),
    "bits": Kind(WORDS, _of_bits(generated_bits), f"generated:{BITS_FORM}"),
    "sets": Kind(TWO_NUMBERS, _of_numbers(generated_sets), f"generated:{SETS_FORM}"),
    "molecules": Kind(
        r"(\d{1,3})(?::(.+))?",
        lambda text, blocks, folder: generated_molecules(int(blocks), folder),
        "generated:molecules:8, or generated:molecules:8:DIR with the folder of the published "
        "blocks",
    ),
}


def graph_from_text(text: str) -> dag.PointedDAG:
    """The graph named by this text.

        hypergrid:DIMxSIDE[:default|paper|paper_text]   Bengio et al. 2021; Hu et al. 2025
        bits:N[xK][:seedS]                              Malkin et al. 2022: N bits by words of K
        sets:NxK                                        K of N elements
        tree:BxD                                        B branches, depth D
        molecules:T1 to molecules:T5                    fragments of our own, by QED
        molecules:A8xN:DIR, T12xN, B12xN                N of the published blocks in DIR
        dag:FILE.json                                   {"edges": [[parent, child], ...],
                                                         "log_rewards": {state: number}}

    Raises EnvironmentTextError, one line, for every other text, and for sizes that do not fit.

        >>> graph_from_text("hypergrid:2x8").n_states
        64
    """
    kind, rest = _parts(text)
    if kind == "generated":
        raise EnvironmentTextError(_unlisted(text))
    if kind not in LISTED:
        raise _not_known(kind, rest, LISTED, f"{FORMS}, or {GENERATED_FORMS}")
    return _made(f"{kind}:{rest}", LISTED[kind], rest)


def refuse_as_losses(given: object) -> None:
    """EnvironmentTextError where an environment stands in the place of the losses."""
    kind, colon, _ = given.partition(":") if isinstance(given, str) else ("", "", "")
    named = colon and kind.strip().lower() in {*LISTED, "generated"}
    if named or isinstance(given, dag.PointedDAG | generated.GeneratedDAG):
        raise EnvironmentTextError(
            "an environment stands where the losses do: they come first, as in 'quadratic', "
            "'hypergrid:2x8'"
        )


def _parts(text: object) -> tuple[str, str]:
    """Of "HyperGrid:2x8": hypergrid, 2x8."""
    if not isinstance(text, str):
        raise EnvironmentTextError(
            f"the environment is {kind_of(text)}; give a text such as 'hypergrid:2x8', or a graph"
        )
    kind, _, rest = text.strip().partition(":")
    return kind.strip().lower(), rest


def _not_known(
    kind: str, rest: str, kinds: Mapping[str, Kind[Any]], forms: str, prefix: str = ""
) -> EnvironmentTextError:
    said = f"write it like {forms}"
    if (near := nearest(kind, kinds)) is not None:
        said = f"did you mean '{prefix}{near}:{rest}'?" if rest else f"write {kinds[near].form}"
    text = shown(f"{prefix}{kind}:{rest}".removesuffix(":"))
    return EnvironmentTextError(f"environment {text} is not known; {said}")


def space_from_text(text: str) -> generated.Space:
    """An enumerated graph by `graph_from_text`, or the same space without listing its states.

    The latter: `generated:hypergrid:DIMxSIDE[:default|paper|paper_text]`,
    `generated:bits:N[xK][:seedS]`, `generated:sets:NxK` and `generated:molecules:N[:DIR]`. Raises
    EnvironmentTextError as `graph_from_text` does.

        >>> space_from_text("generated:bits:120x8").n_actions
        3841
    """
    prefix, of = _parts(text)
    if prefix != "generated":
        return graph_from_text(text)
    kind, rest = _parts(of)
    if kind not in GENERATED:
        raise _not_known(kind, rest, GENERATED, GENERATED_FORMS, "generated:")
    return _made(f"generated:{kind}:{rest}", GENERATED[kind], rest)


def as_space(given: generated.Space | str | None) -> generated.Space:
    """A graph or a generated space as it is, or the one that a text names.

    >>> as_space("hypergrid:2x8").n_states
    64
    """
    if isinstance(given, dag.PointedDAG | generated.GeneratedDAG):
        return given
    return space_from_text(cast(str, given))  # of what is no text it says so


def as_graph(given: generated.Space | str) -> dag.PointedDAG:
    """As `as_space`, where the states must be listed."""
    if isinstance(given, generated.GeneratedDAG):
        raise EnvironmentTextError(_unlisted(given.name))
    return given if isinstance(given, dag.PointedDAG) else graph_from_text(given)


def _unlisted(name: str) -> str:
    return (
        f"environment {shown(name)}: a generated space lists no states, and here they are needed; "
        f"write one like {FORMS}"
    )


def _made(text: str, kind: Kind[AnySpace], rest: str) -> AnySpace:
    match = re.fullmatch(kind.pattern, rest, re.ASCII)
    if match is None:
        raise EnvironmentTextError(f"environment {shown(text)} is malformed; write {kind.form}")
    try:
        return kind.make(text, *match.groups())
    except dag.GraphError as error:
        raise EnvironmentTextError(f"environment {text!r}: {error}") from error


def _dag_file(path: Path) -> dag.PointedDAG:
    try:
        content = read_json(path, infinite=True)
    except InputError as error:
        raise EnvironmentTextError(f"dag: {error}; name a JSON file") from None
    if not isinstance(content, dict) or not isinstance(content.get("edges"), list):
        raise EnvironmentTextError(
            f'dag:{path} has no list "edges"; write {{"edges": [["a", "b"]], ...}}'
        )
    if not isinstance(content.get("log_rewards"), dict):
        raise EnvironmentTextError(
            f'dag:{path} has no object "log_rewards"; write {{"log_rewards": {{"b": 0.5}}}}'
        )
    edges = [_edge(edge, path) for edge in content["edges"]]
    try:
        return from_edges(edges, content["log_rewards"], name=f"dag:{path.name}")
    except dag.GraphError as error:
        raise EnvironmentTextError(str(error)) from error


def _edge(edge: Any, path: Path) -> tuple[str, str]:
    # JSON object keys are strings, so a number in an edge can only mean the state of that name
    named = isinstance(edge, list) and all(
        isinstance(s, (str, int)) and not isinstance(s, bool) for s in edge
    )
    if not named or len(edge) != 2:
        raise EnvironmentTextError(
            f'dag:{path}: {dag.short(edge)} is not an edge; write ["parent", "child"]'
        )
    return str(edge[0]), str(edge[1])
