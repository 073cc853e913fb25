"""The shapes that the pods of all workloads have in common."""

from __future__ import annotations

import pytest

from mlops.api.resources import Resources
from mlops.planning import pods

DEFAULT = pods.resources(cpu="1", memory="2Gi", cpu_limit="3", memory_limit="4Gi")


def test_resources_are_requests_and_limits() -> None:
    """As a container has them."""
    assert DEFAULT == {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "3", "memory": "4Gi"}}


@pytest.mark.parametrize(
    ("wanted", "requests", "limits"),
    [
        pytest.param(None, {}, {}, id="nothing"),
        pytest.param({"requests": {"cpu": "7"}}, {"cpu": "7"}, {"cpu": "7"}, id="a request"),
        pytest.param({"limits": {"memory": "9Gi"}}, {"memory": "9Gi"}, {"memory": "9Gi"}, id="a limit"),
        pytest.param({"requests": {"cpu": "5"}, "limits": {"cpu": "6"}}, {"cpu": "5"}, {"cpu": "6"}, id="both"),
    ],
)
def test_what_a_user_names_goes_over_the_default(
    wanted: dict[str, dict[str, str]] | None, requests: dict[str, str], limits: dict[str, str]
) -> None:
    """Per resource, and one side for the other: a request above its limit would be refused."""
    found = pods.amounts(Resources.model_validate(wanted) if wanted else None, DEFAULT)
    assert found == {"requests": DEFAULT["requests"] | requests, "limits": DEFAULT["limits"] | limits}
    assert DEFAULT["requests"] == {"cpu": "1", "memory": "2Gi"}, "the default is everybody's"
