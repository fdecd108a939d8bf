"""divergence_lab: what a GFlowNet's regression loss really minimises.

    loss expression -> divergence -> verdict -> torch loss -> exact GFlowNet -> learned distribution -> figure

Names are loaded when first used, so `import divergence_lab.theory` needs no torch.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

_HOME = {
    # theory (SymPy)
    "loss": "theory.loss", "Loss": "theory.loss",
    "divergence": "theory.divergence", "Divergence": "theory.divergence",
    "decide": "theory.decision", "Verdict": "theory.verdict",
    "derive": "theory.derivation",
    # the bridge
    "to_torch": "bridge.torch_loss", "verify": "verification",
    # the two uses that no other tool offers
    "design": "theory.design", "fit_to_tradeoffs": "theory.from_data", "fit_to_residuals": "theory.from_data",
    "export": "export", "audit": "audit.auditing",
    # graphs
    "PointedDAG": "graphs.dag", "from_edges": "graphs.dag", "hypergrid": "graphs.hypergrid",
    "GeneratedDAG": "graphs.generated", "from_children": "graphs.children",
    "graph_from_text": "graphs.environments", "space_from_text": "graphs.environments",
    # training and its results
    "train": "training", "Result": "results", "load": "results", "save": "results",
    "metrics": "metrics", "plots": "plots", "write_report": "report",
}

__all__ = [*_HOME, "__version__"]


class Room(ModuleType):
    """A package that loads its public names when they are first used, from where `_HOME` says they are.

    So it is complete before any module in it is asked for: one thread that imports it and one that imports a module of it,
    each with a lock that the other waits for, would both fail (Python hands out half a module to break such a tie).
    """

    def __getattr__(self, name: str) -> Any:
        home = vars(self)["_HOME"]
        if name not in home:
            raise AttributeError(f"{self.__name__} has no {name!r}; it has {', '.join(home)}")
        module = importlib.import_module(f"{self.__name__}.{home[name]}")
        found = vars(self)[name] = getattr(module, name, module)
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        # a module that was imported is bound to its package: where a function has the same name, that is what is meant
        if isinstance(value, ModuleType) and vars(self)["_HOME"].get(name) == name:
            value = getattr(value, name, value)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = Room


def __dir__() -> list[str]:
    return __all__
