"""What the face loads when it is first used, for type checkers."""

from divergence_lab.theorem.softmax import gradients_agree as gradients_agree
from divergence_lab.theorem.verification import VerifyError as VerifyError
from divergence_lab.theorem.verification import verify as verify
