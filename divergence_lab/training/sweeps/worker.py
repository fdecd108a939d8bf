"""A worker as a program of its own: it ends when its asker does, from its first moment on, and
imports the rest only then.
"""

import os
import signal
import sys
import threading
import time

from divergence_lab.signals import Stopped, end_at_signals

# What a worker may take to write a checkpoint when its asker is gone.
LAST_SECONDS = 1.0


def main(points: str, folder: str, device: str, lives: str) -> None:
    """Work on the sweep in `folder`; `points` is the file of the settings, and the worker `lives`
    "with its asker" or "alone".
    """
    end_at_signals()
    if lives == "with its asker":
        threading.Thread(target=_end_with_asker, daemon=True).start()
    from divergence_lab.training.sweeps import working

    try:
        working.work_on_file(points, folder, device)
    except Stopped as stopped:
        print(stopped, flush=True)
        sys.exit(128 + stopped.number)


def _end_with_asker() -> None:
    """Standard input is a pipe that the asker never writes to: it ends when the asker does,
    however that is.
    """
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LAST_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
