"""Which version answers, and what is said if none does."""

from __future__ import annotations

from typing import Any

import pytest

from mlops.cli.errors import UserError
from mlops.cli.predict.choosing import chosen

DIGEST = "sha256:" + "a" * 64
NOW = "2026-01-01T00:00:00Z"


def a_version(number: int, *, live: tuple[str, ...] = (), verified: bool = True, **changes: Any) -> dict[str, Any]:
    """A ModelVersion of wine with two stages, not live anywhere if nothing else is said."""
    found = {"goldenRows": 32, "maxDifference": "0", "p99Milliseconds": "1.0"}
    ready = {"type": "Ready", "status": "False", "reason": "GoldenFailed", "message": "row 3 differs"}
    status = {
        "artifact": DIGEST,
        **({"verification": found} if verified else {}),
        **({"stages": list(live), "stage": live[-1]} if live else {}),
        "conditions": [] if live else [{**ready, "lastTransitionTime": NOW}],
    }
    return {
        "apiVersion": "mlops.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": f"wine-v{number}", "namespace": "default", "uid": str(number)},
        "spec": {
            "modelName": "wine",
            "version": number,
            "artifact": {"digest": DIGEST},
            "promotion": {"stages": [{"name": "staging"}, {"name": "production"}]},
        },
        "status": status,
        **changes,
    }


VERSIONS = [
    a_version(1),
    a_version(2, live=("production",)),
    a_version(3, live=("staging",)),
    a_version(4, verified=False),
]


@pytest.mark.parametrize(
    ("stage", "number", "name"),
    [
        pytest.param(None, None, "wine-v2", id="the end of the way"),
        pytest.param("staging", None, "wine-v3", id="a stage"),
        pytest.param(None, 1, "wine-v1", id="a version that is live no more"),
    ],
)
def test_the_version_that_is_asked_for_answers(stage: str | None, number: int | None, name: str) -> None:
    found = chosen(VERSIONS, "wine", "default", stage, number)
    assert found.version.metadata.name == name
    assert found.task.artifact == DIGEST


@pytest.mark.parametrize(
    ("versions", "stage", "number", "said"),
    [
        pytest.param(
            [a_version(1), a_version(3, live=("staging",))],
            None,
            None,
            "no version of wine is live in production: wine-v3 is not: it is on its way; live are wine-v3 in staging "
            "(--stage staging)",
            id="only elsewhere",
        ),
        pytest.param(
            [a_version(1), a_version(2, verified=False)],
            None,
            None,
            "no version of wine is live in production: wine-v2 is not: GoldenFailed: row 3 differs; verified are 1: "
            "--version 1",
            id="nowhere",
        ),
        pytest.param(
            [a_version(1, verified=False)],
            None,
            1,
            "wine-v1 is not verified, and no server would have it: GoldenFailed: row 3 differs; no version of wine is "
            "verified: mlops describe mver wine-v1",
            id="not verified",
        ),
        pytest.param(VERSIONS, "prod", None, "no such stage; there are staging, production", id="no stage"),
        pytest.param(VERSIONS, None, 9, "no such version; there are 1, 2, 3, 4", id="no version"),
        pytest.param([], None, None, "no model 'wine' here: no version was registered", id="no model"),
    ],
)
def test_without_one_it_is_told_what_there_is(
    versions: list[dict[str, Any]], stage: str | None, number: int | None, said: str
) -> None:
    """And which option names it."""
    with pytest.raises(UserError) as refused:
        chosen(versions, "wine", "default", stage, number)
    assert said in refused.value.message
