"""Programs of our own that are started beside this one: which folders they import from, and when
they end.

A child imports this very package, by its place, then what Python and its installation have, and
only then what else the asker imports from. The folder that one happens to stand in is none of
these: a `random.py` or a `divergence_lab.py` there is never run.
"""

import contextlib
import importlib
import os
import signal
import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[2]
# the package by its place, so that its own folder need not stand before those of the installation
_START = """
import sys
from importlib import import_module, util
sys.path += {folders!r}
spec = util.spec_from_file_location({name!r}, {file!r})
package = sys.modules[spec.name] = util.module_from_spec(spec)
spec.loader.exec_module(package)
import_module({module!r}).{function}(*sys.argv[1:])
"""


def command(module: str, function: str, *texts: str) -> list[str]:
    """The words that start Python and call module.function(*texts) there; for `environment()`.

    >>> command("divergence_lab.theory.budget.relay", "relay")[1:3]
    ['-P', '-c']
    """
    start = _START.format(
        folders=_folders(),
        name=_PACKAGE.name,
        file=str(_PACKAGE / "__init__.py"),
        module=module,
        function=function,
    )
    return [sys.executable, "-P", "-c", start, *texts]


def environment() -> dict[str, str]:
    """That of this process, where PYTHONPATH names only folders that are the same from everywhere.

    An empty or relative entry is the folder that one stands in.
    """
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(os.path.isabs, given))}


def call_until_gone(asker: str, module: str, function: str, *texts: str) -> None:
    """What a program whose asker waits for it does: module.function(*texts), ended with the asker
    from before the module is imported.
    """
    end_with(int(asker))
    getattr(importlib.import_module(module), function)(*texts)


def end_with(asker: int) -> None:
    """On Linux the end of the process `asker`, which started this one, is from now on the end of
    this one too.
    """
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != asker:  # it ended before
        os._exit(0)


def _folders() -> list[str]:
    """Where this process imports from, but for what Python adds itself: last in the child's path,
    so that they hide nothing.
    """
    return [folder for folder in sys.path if os.path.isabs(folder)]
