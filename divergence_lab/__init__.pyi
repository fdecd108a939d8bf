"""What the face loads when it is first used, for type checkers."""

from types import ModuleType

from divergence_lab.audit.auditing import audit as audit
from divergence_lab.bridge.export import export as export
from divergence_lab.bridge.torch_loss import to_torch as to_torch
from divergence_lab.graphs.children import from_children as from_children
from divergence_lab.graphs.dag import PointedDAG as PointedDAG
from divergence_lab.graphs.edges import from_edges as from_edges
from divergence_lab.graphs.generated import GeneratedDAG as GeneratedDAG
from divergence_lab.graphs.spaces.hypergrid import hypergrid as hypergrid
from divergence_lab.graphs.texts import graph_from_text as graph_from_text
from divergence_lab.graphs.texts import space_from_text as space_from_text
from divergence_lab.report import plots as plots
from divergence_lab.report.page import write_report as write_report
from divergence_lab.report.single_bump import narrow_fit as narrow_fit
from divergence_lab.results import metrics as metrics
from divergence_lab.results.result import Result as Result
from divergence_lab.results.storage import load as load
from divergence_lab.results.storage import save as save
from divergence_lab.theorem.softmax import gradients_agree as gradients_agree
from divergence_lab.theorem.verification import verify as verify
from divergence_lab.theory.answers.derivation import derive as derive
from divergence_lab.theory.design.from_data import fit_to_residuals as fit_to_residuals
from divergence_lab.theory.design.from_data import fit_to_tradeoffs as fit_to_tradeoffs
from divergence_lab.theory.design.search import design as design
from divergence_lab.theory.divergence.closed_form import Divergence as Divergence
from divergence_lab.theory.divergence.closed_form import divergence as divergence
from divergence_lab.theory.divergence.loss import Loss as Loss
from divergence_lab.theory.divergence.loss import loss as loss
from divergence_lab.theory.verdicts.decision import decide as decide
from divergence_lab.theory.verdicts.verdict import Verdict as Verdict
from divergence_lab.training.loop import train as train

__version__: str

class Room(ModuleType): ...

def open_room(name: str, home: dict[str, str], kind: type[Room] = ...) -> None: ...
