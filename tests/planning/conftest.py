from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops.planning.plan import Plan

GOLDEN = Path(__file__).parent / "golden"


class _Readable(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def as_yaml(plan: Plan) -> str:
    """Return the plan as a person would read it: the YAML of what is to be written."""
    shape = {
        "statuses": {"/".join(key): status.dump() for key, status in plan.statuses.items()},
        "apply": list(plan.apply),
        "create": list(plan.create),
        "delete": ["/".join(key) for key, _ in plan.delete],
        "requeueAt": str(plan.requeue_at) if plan.requeue_at else None,
    }
    kept = {name: value for name, value in shape.items() if value}
    return yaml.dump(kept, Dumper=_Readable, sort_keys=False, width=120)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, Plan], None]:
    """Return a check that a plan is that of the golden file; `--update-golden` writes the file again."""

    def check(name: str, plan: Plan) -> None:
        path = GOLDEN / f"{name}.yaml"
        if request.config.getoption("--update-golden", default=False):
            path.parent.mkdir(exist_ok=True)
            path.write_text(as_yaml(plan))
        assert as_yaml(plan) == path.read_text(), f"differs from {path.name}: if meant, run with --update-golden"

    return check
