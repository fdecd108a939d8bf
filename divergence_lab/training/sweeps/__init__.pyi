"""What the face loads when it is first used, for type checkers."""

from divergence_lab.training.sweeps.claims import is_done as is_done
from divergence_lab.training.sweeps.gathering import PointsFailed as PointsFailed
from divergence_lab.training.sweeps.points import Job as Job
from divergence_lab.training.sweeps.points import SweepError as SweepError
from divergence_lab.training.sweeps.points import jobs as jobs
from divergence_lab.training.sweeps.points import read_sweep as read_sweep
from divergence_lab.training.sweeps.sweeping import sweep as sweep
from divergence_lab.training.sweeps.working import run_job as run_job
