"""The overlays of examples/gitops, as kustomize builds them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.kstatus.kubectl import kubectl

FOLDER = Path(__file__).parents[2] / "examples" / "gitops"
NAMES = sorted(path.name for path in (FOLDER / "overlays").iterdir())
Object = dict[str, Any]


@cache
def text_of(overlay: str) -> str:
    """Return the YAML of an overlay."""
    code, built, complaint = kubectl("kustomize", str(FOLDER / "overlays" / overlay))
    assert code == 0, complaint
    return built


def objects_of(overlay: str) -> dict[str, Object]:
    """Return an overlay's objects by kind."""
    return {each["kind"]: each for each in yaml.safe_load_all(text_of(overlay))}
