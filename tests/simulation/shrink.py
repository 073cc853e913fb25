"""From a case that fails to the smallest one found that fails in the same way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.simulation.cases import Case, judge


def shrink(case: Case, name: str, say: Callable[[str], None] = lambda text: None) -> Case:
    """Return a smaller case that violates the same invariant: fewer disturbances, one replica, one release."""

    def fails(smaller: Case) -> bool:
        violation = judge(smaller).violation
        return violation is not None and violation[0] == name

    size = max(1, len(case.disturbances) // 2)
    while case.disturbances:
        start, cut = 0, False
        while start < len(case.disturbances):
            left = case.disturbances[:start] + case.disturbances[start + size :]
            if fails(smaller := replace(case, disturbances=left)):
                case, cut = smaller, True
                say(f"{len(case.disturbances)} disturbances are enough")
            else:
                start += size
        if size == 1 and not cut:
            break
        size = max(1, size // 2)
    for simpler in ({"releases": 1}, {"replicas": 1}):
        if fails(smaller := replace(case, **simpler)):  # type: ignore[arg-type]
            case = smaller
    return case
