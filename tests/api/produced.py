"""Which reasons the code can put into a condition of which kind, read off the code itself.

A reason gets into a condition in four ways: a planner says it (`Reason.X`), the outcome of a Job says it
(planning/outcome.py), a pod reports it (`BadInput`, `PassingFault`, an error of the store), or the engine lays it over
a status (problems.py, waiting.py). What a pod may report is what the modules can raise that its workload imports.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from mlops.api import dataset, drift_monitor, model_version, training_run
from mlops.engine import problems
from mlops.planning import outcome
from mlops.planning.serving import server_pods
from mlops.store import errors

ROOT = Path(__file__).resolve().parents[2] / "operator"
ENUMS = {
    "Dataset": dataset.Reason,
    "TrainingRun": training_run.Reason,
    "ModelVersion": model_version.Reason,
    "DriftMonitor": drift_monitor.Reason,
}
# The workloads whose pods report to a kind.
WORKLOADS = {
    "Dataset": ("mlops.workloads.ingest.run",),
    "TrainingRun": ("mlops.workloads.train.run", "mlops.workloads.train.fetch"),
    "ModelVersion": ("mlops.workloads.serve.verify", "mlops.workloads.serve.run"),
    "DriftMonitor": ("mlops.workloads.drift.run",),
}
# Of every pod: its entry, its surroundings.
_EVERY_POD = ("mlops.workloads.__main__", "mlops.workloads.pod")
_RAISED = ("BadInput", "PassingFault", "_fail")
_NO_REASON = {"error.reason", "reason"}


@cache
def produced(kind: str) -> dict[str, set[str]]:
    """Return every reason that a condition of the kind may have, with where it comes from."""
    found: dict[str, set[str]] = {}
    for reason, where in _all(kind):
        found.setdefault(reason, set()).add(where)
    return found


def _all(kind: str) -> Iterator[tuple[str, str]]:
    enum = ENUMS[kind]
    for module in _modules("mlops.planning"):
        for name in _conditions_said(module, enum.__module__):
            yield str(enum[name]), module
    # The very first write of any object (standing.py).
    yield "Pending", "mlops.planning.standing"
    for constant in (
        outcome.DEADLINE_EXCEEDED,
        outcome.BACKOFF_LIMIT_EXCEEDED,
        outcome.OUT_OF_MEMORY,
        outcome.REPORT_MISSING,
    ):
        yield constant, "mlops.planning.outcome"
    for constant in (problems.NAME_TAKEN, problems.INVALID_SPEC, problems.CHILD_REFUSED):
        yield constant, "mlops.engine.problems"
    for constant in (*server_pods.WAITING.values(), server_pods.UNSCHEDULABLE):
        yield constant, "mlops.engine.waiting"
    for error in errors.StoreError.__subclasses__():
        yield error.__name__, "mlops.store.errors"
    for module in (*_EVERY_POD, *_imported(*WORKLOADS[kind])):
        for reason in _raised(module):
            yield reason, module


def literals() -> dict[str, set[str]]:
    """Return every reason that any pod can raise, with the modules: also those of no kind's workload."""
    found: dict[str, set[str]] = {}
    for module in _modules("mlops.workloads"):
        for reason in _raised(module):
            found.setdefault(reason, set()).add(module)
    return found


def _modules(package: str) -> Iterator[str]:
    folder = ROOT / package.replace(".", "/")
    for path in sorted(folder.rglob("*.py")):
        if path.name != "__init__.py":
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts)


@cache
def _tree(module: str) -> ast.Module:
    path = ROOT / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text())


def _imports(module: str) -> dict[str, str]:
    """Return what a module imports of ours, by the name that it has there."""
    return {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(_tree(module))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mlops")
        for alias in node.names
    }


def _imported(*modules: str) -> set[str]:
    """Return the modules of the pod side that `modules` import, directly or not, and themselves."""
    found, todo = set(), list(modules)
    while todo:
        module = todo.pop()
        if module in found or not module.startswith("mlops.workloads"):
            continue
        if (ROOT / module.replace(".", "/")).is_dir() or (ROOT / module.replace(".", "/")).with_suffix(".py").is_file():
            found.add(module)
            # `from package import name` may name a module or something in one.
            todo += [path for full in _imports(module).values() for path in (full, full.rpartition(".")[0])]
    return found - {"mlops.workloads"}


def _conditions_said(module: str, enum: str) -> Iterator[str]:
    """Yield the members of the kind's Reason that a planner's module uses, but for those inside of messages."""
    if _imports(module).get("Reason") != f"{enum}.Reason":
        return
    tree = _tree(module)
    # f"{Reason.SERVING_FAILED} in {stage}" is a text, not a condition's reason.
    quoted = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "Reason" and node not in quoted:
            yield node.attr


def _raised(module: str) -> Iterator[str]:
    """Yield the reasons of the errors that a module of the pod side makes; fails on one that cannot be read."""
    enum = _imports(module).get("Reason", "").rpartition(".")[0]
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _RAISED:
            reason = node.args[1 if node.func.id == "_fail" else 0]
            if isinstance(reason, ast.Constant):
                yield str(reason.value)
            elif isinstance(reason, ast.Attribute) and ast.unparse(reason.value) == "Reason":
                kind = next(kind for kind, each in ENUMS.items() if each.__module__ == enum)
                yield str(ENUMS[kind][reason.attr])
            else:
                assert ast.unparse(reason) in _NO_REASON, f"{module}:{node.lineno}: {ast.unparse(reason)}"
