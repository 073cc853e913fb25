"""Where the product says which reason, and to which kind: what mypy does not know.

That a word is one of the registry mypy checks. A pod reports to one kind, a planner's module plans one: what they name
must be explained for that kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from mlops.api.reasons import ALL, Reason
from mlops.planning.not_started import NOT_STARTED
from mlops.workloads.floor.isolation import parent

ROOT = Path(__file__).resolve().parents[2] / "operator"
# The workloads whose pods report to a kind.
_PROGRAMS = {
    "Dataset": ("mlops.workloads.ingest.run",),
    "TrainingRun": ("mlops.workloads.train.run", "mlops.workloads.train.fetch"),
    "ModelVersion": ("mlops.workloads.verify.run", "mlops.workloads.serve.run"),
    "DriftMonitor": ("mlops.workloads.drift.run", "mlops.workloads.ingest.labels"),
}
# How the names of a kind's planning modules begin; the engine's are of any kind, as are those of all planners.
_PLANNING = {
    "Dataset": ("dataset",),
    "TrainingRun": ("training",),
    "ModelVersion": ("serving", "model"),
    "DriftMonitor": ("monitor",),
}
_EVERY_PLANNER = ("readiness", "outcome", "execution", "not_started")
# What it says of pods is none of the planner's own.
_OF_PODS = "mlops.planning.serving.server_pods"
# What a module only looks for in the conditions of other objects, or passes on of what the work in a child says.
_READ_ONLY = {
    "mlops.workloads.floor.isolation.parent": {reason.name for reason in parent.PASSED_ON},
    "mlops.engine.over": {"SUPERSEDED", "WITHDRAWN"},
}
# What a program says of what these found is a reason of its own.
_OF_MODELS = (
    "answer",
    "conditions",
    "contents",
    "engines",
    "features",
    "golden",
    "isolated",
    "mapped_engine",
    "onnx_checks",
    "onnx_engine",
)
_OF_MODELS += ("opening", "predictor", "signature", "skops_file", "skops_graph", "treelite_engine", "treelite_file")
_SAID_IN_OTHER_WORDS = {"DriftMonitor": tuple(f"mlops.workloads.floor.model.{name}" for name in _OF_MODELS)}
# What reads labels as an ingest reads files never comes to: it has no expressions and no quarantine, and needs no file.
_NEVER = {"DriftMonitor": {"SOURCE_NOT_FOUND", "EXPRESSION_INVALID", "REJECTED"}}
_IN_A_MESSAGE = r"(?<!\{)"
_SAID = re.compile(_IN_A_MESSAGE + r"\bReason\.([A-Z_]+)")
_IMPORTED = re.compile(r"^ *from (mlops[\w.]*) import (\([^)]*\)|.*)$", re.MULTILINE)


@cache
def produced(kind: str) -> dict[str, set[str]]:
    """Return every reason that an object of the kind may have, with the modules that say it."""
    found: dict[str, set[str]] = {}
    for module in _modules(kind):
        for name in set(_SAID.findall(_source(module))) - _READ_ONLY.get(module, set()) - _NEVER.get(kind, set()):
            found.setdefault(str(Reason[name]), set()).add(module)
    # What the engine says of the pods of any kind.
    for reason in NOT_STARTED:
        found.setdefault(str(reason), set()).add("mlops.engine.waiting")
    return found


def said_by_planners(kind: str) -> set[str]:
    """Return the reasons that the kind's planner says of its own, whatever pods report."""
    folders = tuple(f"mlops.planning.{folder}." for folder in _PLANNING[kind])
    pairs = ((reason, module) for reason, modules in produced(kind).items() for module in modules)
    return {reason for reason, module in pairs if module.startswith(folders) and module != _OF_PODS}


def _modules(kind: str) -> Iterator[str]:
    yield from (module for module in _all("mlops.planning") if kind in _planned_by(module))
    yield from _all("mlops.engine")
    yield from (
        "mlops.workloads.__main__",
        *(one for one in _closure(*_PROGRAMS[kind]) if not one.startswith(_SAID_IN_OTHER_WORDS.get(kind, ()))),
    )


def _planned_by(module: str) -> tuple[str, ...]:
    name = module.split(".")[2]
    if name.startswith(_EVERY_PLANNER):
        return ALL
    kinds = tuple(kind for kind, begins in _PLANNING.items() if name.startswith(begins))
    assert len(kinds) == 1 or not _SAID.search(_source(module)), f"{module} says reasons: of which kind?"
    return kinds


def _all(package: str) -> list[str]:
    folder = ROOT / package.replace(".", "/")
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted(folder.rglob("*.py"))]


def _closure(*modules: str) -> set[str]:
    """Return the modules of the pod side that `modules` import, directly or not, and themselves."""
    found, todo = set(), list(modules)
    while todo:
        module = todo.pop()
        if module not in found and module.startswith(("mlops.workloads", "mlops.store")) and _source(module):
            found.add(module)
            for package, names in _IMPORTED.findall(_source(module)):
                # `from package import name` may name a module or something in one.
                todo += [package, *(f"{package}.{name}" for name in re.findall(r"\w+", names))]
    return found


@cache
def _source(module: str) -> str:
    path = ROOT / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return file.read_text() if file.is_file() else ""
