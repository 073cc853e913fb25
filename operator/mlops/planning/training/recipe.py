"""What a template's runs are made of, as digests, and the names that follow from them."""

from __future__ import annotations

from typing import Any

from mlops.api import digests, labels
from mlops.api.training_run import TrainingRun

# What of a template's spec does not decide what its runs come to.
_BESIDE_THE_RECIPE: Any = {
    "suspend": True,
    "triggers": True,
    "resources": True,
    "pod_template": True,
    "active_deadline_seconds": True,
    "backoff_limit": True,
    "register_": {"promotion", "capture"},
}


def template_digest(template: TrainingRun) -> str:
    """Return the digest of a template's spec; defaults are left out, so that a new release fires nothing."""
    return _digest(template, {"suspend": True})


def recipe_digest(template: TrainingRun) -> str:
    """Return the digest of the part of the spec that decides what a run comes to: another one calls for a run.

    How many pods serve, what is captured, and how much compute a training gets change no model.
    """
    return _digest(template, _BESIDE_THE_RECIPE)


def _digest(template: TrainingRun, left_out: Any) -> str:
    # A spec holds texts, numbers, tuples and models only, which are JSON as they are dumped.
    return digests.digest_of(template.spec.model_dump(by_alias=True, exclude_defaults=True, exclude=left_out))


def change_name(template: TrainingRun) -> str:
    """Return the name of the first run of the present spec."""
    return labels.child_name(template.metadata.name, labels.short(template_digest(template), 8), limit=52)


def version_name(template: TrainingRun, version: int | None) -> str:
    """Return the name of the first run on a version of the Dataset."""
    return labels.child_name(template.metadata.name, f"d{version}", limit=52)
