"""Values that cannot work, and clusters that are too old: the real Helm says where, and what would be right."""

from __future__ import annotations

import pytest

from tests.bad_input.catalogue import Case, parameters
from tests.chart import helm


@pytest.mark.parametrize("case", parameters("chart"))
def test_it_is_refused_with_the_place_and_the_way_out(case: Case) -> None:
    """Before anything reaches the cluster."""
    said = helm.refusal(case["values"], case.get("kubeVersion", helm.KUBERNETES))
    assert said.removeprefix("- ") == case["message"]
