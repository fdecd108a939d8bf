"""Other GFlowNet libraries, each used as its own examples use it: only `bench` imports these rooms.

A peer is a module of this package with

    VERSIONS   the distributions whose versions matter, its own first
    NEEDS      the modules that must be there
    place()    where it runs, cpu or cuda; left out where it runs on the device that it is given
    training(dimensions, side, batch, device, stop_logit)
               -> run(n): n iterations of one run, TB, uniform P_B, MLP 2x256
    together(dimensions, side, batch, stop_logit, members, precision)
               -> run(n) of as many runs in one call, for each of PRECISIONS; where the peer can
    law(dimensions, side, policy, device) -> call(): the exact learned law over all states, once, as
    numpy [S]

`run` and `call` return when the work is done.  The peer is imported inside these functions, so that
one that is not installed can be named.
"""

import importlib
import importlib.util
from importlib import metadata
from types import ModuleType

from divergence_lab.inputs import InputError, did_you_mean, shown

PEERS = {"torchgfn": "gfn", "gfnx": "gfnx"}  # name -> the module that it installs


class PeerError(InputError):
    """A name that is no peer; the message lists the names that are."""


def peer(name: str) -> ModuleType:
    """The module of this package that runs the peer, whether or not the peer is installed."""
    if name not in PEERS:
        said = did_you_mean(name, PEERS) or f"; use one or several of {', '.join(PEERS)}"
        raise PeerError(f"peer {shown(name)} is not known{said}")
    return importlib.import_module(f"{__name__}.{name}_peer")


def missing(name: str, device: str | None = None) -> str | None:
    """One line that says what is not installed and how to install it, or that the peer runs
    elsewhere than on `device`; None where it can be measured.
    """
    module = peer(name)
    needed = [wanted for wanted in module.NEEDS if importlib.util.find_spec(wanted) is None]
    if needed:
        return (
            f"{name} is not installed here (no module {', '.join(needed)}): docs/benchmark.md says "
            "how to install it"
        )
    place = module.place() if device and hasattr(module, "place") else device
    if place == device:
        return None
    return f"{name} is left out: it runs on {place} here, and is to be compared on {device}"


def versions(name: str) -> dict[str, str]:
    """distribution -> version of the peer and of what it runs on."""
    return {found: metadata.version(found) for found in peer(name).VERSIONS}
