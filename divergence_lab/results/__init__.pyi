"""What the face loads when it is first used, for type checkers."""

from divergence_lab.results.result import Result as Result
from divergence_lab.results.storage import ResultError as ResultError
from divergence_lab.results.storage import load as load
from divergence_lab.results.storage import save as save
from divergence_lab.results.storage import save_all as save_all
