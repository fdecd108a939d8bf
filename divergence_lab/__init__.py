"""divergence_lab: what a GFlowNet's regression loss really minimises.

    loss expression -> divergence -> verdict -> torch loss -> exact GFlowNet -> learned distribution
    -> figure

Names are loaded when first used, so `import divergence_lab.theory` needs no torch.
"""

# first of all: where this process is the command, Ctrl-C is one line from here on
from divergence_lab import signals  # noqa: F401

# isort: split
import importlib
import sys
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any

from divergence_lab.inputs import did_you_mean, missing_package

__version__ = "0.1.0"

_HOME = {
    # theory (SymPy)
    "loss": "theory.divergence.loss",
    "Loss": "theory.divergence.loss",
    "divergence": "theory.divergence.closed_form",
    "Divergence": "theory.divergence.closed_form",
    "decide": "theory.verdicts.decision",
    "Verdict": "theory.verdicts.verdict",
    "derive": "theory.answers.derivation",
    # the bridge
    "to_torch": "bridge.torch_loss",
    "narrow_fit": "report.single_bump",
    "verify": "theorem.verification",
    "gradients_agree": "theorem.softmax",
    # the two uses that no other tool offers
    "design": "theory.design.search",
    "fit_to_tradeoffs": "theory.design.from_data",
    "fit_to_residuals": "theory.design.from_data",
    "export": "bridge.export",
    "audit": "audit.auditing",
    # graphs
    "PointedDAG": "graphs.dag",
    "from_edges": "graphs.edges",
    "hypergrid": "graphs.spaces.hypergrid",
    "GeneratedDAG": "graphs.generated",
    "from_children": "graphs.children",
    "graph_from_text": "graphs.texts",
    "space_from_text": "graphs.texts",
    # training and its results
    "train": "training.loop",
    "Result": "results.result",
    "load": "results.storage",
    "save": "results.storage",
    "metrics": "results.metrics",
    "plots": "report.plots",
    "write_report": "report.page",
}


class Room(ModuleType):
    """A package that loads its public names when they are first used, from where `_HOME` says they
    are.

    So it is complete before any module in it is asked for: one thread that imports it and one that
    imports a module of it, each with a lock that the other waits for, would both fail (Python hands
    out half a module to break such a tie).
    """

    def __getattr__(self, name: str) -> Any:
        home = vars(self)["_HOME"]
        if name not in home:
            _say_where(f"{self.__name__}.{name}")
            said = did_you_mean(name, home) or f"; it has {', '.join(home)}"
            if self.__name__ == __name__ and name in _BELOW:
                said = f"; import it from {__name__}.{_BELOW[name]}"
            raise AttributeError(f"{self.__name__} has no {name!r}{said}")
        try:
            module = importlib.import_module(f"{self.__name__}.{home[name]}")
        except ModuleNotFoundError as error:  # torch, where only theory is asked for
            raise missing_package(error, f"{self.__name__}.{name}") or error from None
        found = vars(self)[name] = getattr(module, name, module)
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        # a module that was imported is bound to its package: where a function has the same name,
        # that is what is meant
        if isinstance(value, ModuleType) and vars(self)["_HOME"].get(name) == name:
            value = getattr(value, name, value)
        super().__setattr__(name, value)


def open_room(name: str, home: dict[str, str], kind: type[Room] = Room) -> None:
    """Give a package its public names, each with the module below it that holds it."""
    package = sys.modules[name]
    vars(package).update(_HOME=home, __all__=[*home])
    package.__class__ = kind


# What is a command and no name here -> the room whose function it calls.
_BELOW = {
    "check": "theory.answers",
    "compare": "theory.inequalities",
    "invert": "theory.divergence",
}
# Modules that users may have imported and that have moved.
_MOVED = {
    "metrics": "results.metrics",
    "plots": "report.plots",
    "palette": "report.palette",
    "export": "bridge.export",
    "settings": "training.settings",
    "schedules": "training.schedules",
    "sweeps": "training.sweeps",
    "verification": "theorem.verification",
    "measuring": "bench.measuring",
    "molecules": "graphs.molecules",
    "theory.loss": "theory.divergence.loss",
    "theory.symbols": "theory.expressions.symbols",
    "theory.derivation": "theory.answers.derivation",
    "theory.inversion": "theory.divergence.inversion",
    "theory.samplers": "theory.divergence.weightings (and sampler is weighting)",
    "theory.transforms": "theory.divergence.transforms",
    "theory.decision": "theory.verdicts.decision",
    "theory.verdict": "theory.verdicts.verdict",
    "theory.from_data": "theory.design.from_data",
    "theory.wishes": "theory.design.wishes",
    "theory.bounds": "theory.inequalities.bounds",
    "theory.pinsker": "theory.inequalities.pinsker",
    "theory.normaliser": "theory.inequalities",
    "theory.hockey_stick": "theory.inequalities.hockey_stick",
    "graphs.environments": "graphs.texts",
    "gflownet.exact": "gflownet.listed.exact",
}


def _say_where(name: str) -> None:
    """ModuleNotFoundError with one line that names the new path, for one that has moved."""
    if (new := _MOVED.get(name.removeprefix(f"{__name__}."))) is not None:
        raise ModuleNotFoundError(f"{name} is now {__name__}.{new}", name=name)


class _Moved(MetaPathFinder):
    """Finds nothing, and says of an old path where its module is."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        _say_where(fullname)


open_room(__name__, _HOME)
sys.meta_path.append(_Moved())  # last: only what nothing else finds


def __dir__() -> list[str]:
    return [*_HOME, "__version__"]
