"""divergence_lab: what a GFlowNet's regression loss really minimises.

    loss expression -> divergence -> verdict -> torch loss -> exact GFlowNet -> learned distribution -> figure

Names are loaded when first used, so `import divergence_lab.theory` needs no torch.
"""

from __future__ import annotations

import importlib
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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"divergence_lab has no {name!r}; it has {', '.join(_HOME)}")
    module = importlib.import_module(f"divergence_lab.{_HOME[name]}")
    found = module if name in ("metrics", "plots") else getattr(module, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
