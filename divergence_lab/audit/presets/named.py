"""The presets by name, and as a list."""

from typing import Any

from divergence_lab.audit.presets.gflownets import GFLOWNETS
from divergence_lab.audit.presets.language_models import LANGUAGE_MODELS
from divergence_lab.audit.presets.preset import Preset
from divergence_lab.audit.subjects.loading import AuditError
from divergence_lab.inputs import did_you_mean, shown

PRESETS = (*GFLOWNETS, *LANGUAGE_MODELS)
PREFIX = "preset:"


def find_preset(text: str) -> Preset:
    """The preset that 'preset:NAME' names. Raises AuditError with the nearest name.

    >>> find_preset("preset:gfnx/tb").formula
    'r**2'
    """
    name = text.strip().removeprefix(PREFIX)
    by_name = {preset.name: preset for preset in PRESETS}
    if name not in by_name:
        raise AuditError(
            f"no preset is called {shown(name)}; audit --presets lists them"
            f"{did_you_mean(name, by_name)}"
        )
    return by_name[name]


def is_preset(thing: Any) -> bool:
    """Is it the text of a preset?"""
    return isinstance(thing, str) and thing.strip().startswith(PREFIX)


def listed() -> list[dict[str, str]]:
    """What `audit --presets` lists of each."""
    return [
        {
            "name": preset.name,
            "library": preset.library,
            "version": preset.version,
            "source": preset.source,
            "residual": preset.residual,
            "formula": preset.formula,
            "placement": preset.placement,
            "baseline": preset.baseline,
            "per": preset.per,
            "note": preset.note,
        }
        for preset in PRESETS
    ]
