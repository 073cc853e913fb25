"""The checks, each one object in a file of its own: what answers, what the answer means, what to do, how it ranks.

A new type is a file here, and its name and its question in `api.drift_monitor`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType

from mlops.api.drift_monitor import CheckType
from mlops.workloads.drift.checks.drift_check import DriftCheck

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
# By rank: of several that detect, the first one is the verdict.
ALL: tuple[DriftCheck, ...] = tuple(
    sorted((each() for each in DriftCheck.__subclasses__()), key=lambda each: each.rank)
)
CHECKS: Mapping[CheckType, DriftCheck] = MappingProxyType({each.type: each for each in ALL})
