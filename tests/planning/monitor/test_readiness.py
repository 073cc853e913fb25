"""Where a monitor stands, to the word: what is missing is named with its field, and what waits says for what."""

from __future__ import annotations

from typing import Any

import pytest

from mlops.api.conditions import Condition
from mlops.planning.monitor.progress import CHECKED, MonitorProgress
from mlops.planning.monitor.readiness import judged
from mlops.planning.readiness import Readiness
from mlops.planning.views import DriftMonitorView
from tests.planning.builders import (
    NOW,
    SETTINGS,
    a_condition,
    a_live_version,
    a_monitor,
    a_run,
    a_template,
    a_version,
)

ON_ITS_WAY = {"conditions": [a_condition("Reconciling", "True", "Progressing")]}
NOT_LIVE = 'no version of model "rain" is live in stage "production"'


def said(checked: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **changes: Any) -> Readiness:
    """Return the readiness of a monitor whose newest check says `checked`."""
    monitor = a_monitor(spec=spec or {})
    given = {"versions": (a_live_version(),), "template": a_template(), **changes}
    view = DriftMonitorView(now=NOW, settings=SETTINGS, monitor=monitor, **given)
    known = {CHECKED: Condition.model_validate(checked)} if checked else {}
    return judged(view, MonitorProgress(monitor.status, known))


def flat(found: Readiness) -> tuple[str, str, str, bool, bool]:
    return found.ready, str(found.reason), found.message, found.reconciling, found.stalled


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        pytest.param(
            {"spec": {"suspend": True}, "versions": ()},
            ("True", "Suspended", "spec.suspend is true: no checks are made", False, False),
            id="suspended",
        ),
        pytest.param(
            {"versions": ()},
            (
                "False",
                "TargetNotFound",
                'spec.targetRef: model "rain" has no version in "team"',
                False,
                False,
            ),
            id="no such model",
        ),
        pytest.param(
            {"versions": (a_version(),)}, ("False", "TargetNotLive", NOT_LIVE, False, False), id="none is live"
        ),
        pytest.param(
            {"versions": (a_version(), a_version(2, status=ON_ITS_WAY))},
            ("Unknown", "TargetNotLive", f"{NOT_LIVE} yet; rain-v2 is on its way", True, False),
            id="one is on its way",
        ),
        pytest.param(
            {"versions": (a_live_version(2, spec={"withdrawn": True}), a_version())},
            ("Unknown", "TargetNotLive", f"{NOT_LIVE} yet; rain-v1 is on its way", True, False),
            id="one replaces another that leaves",
        ),
        pytest.param(
            {"versions": (a_live_version(2, spec={"withdrawn": True}),)},
            ("False", "TargetNotLive", NOT_LIVE, False, False),
            id="the last one leaves",
        ),
        pytest.param(
            {"template": None},
            ("False", "TrainingRunNotFound", 'spec.trainingRunRef: TrainingRun "rain" not found', False, False),
            id="no template",
        ),
        pytest.param(
            {"template": a_run()},
            (
                "False",
                "NotATemplate",
                'spec.trainingRunRef: TrainingRun "rain" has no spec.triggers, so it is no template',
                False,
                False,
            ),
            id="a run is no template",
        ),
        pytest.param(
            {},
            ("Unknown", "WaitingForFirstCheck", "the first check follows 0 * * * *", True, False),
            id="not scheduled yet",
        ),
        pytest.param(
            {"cron_job": {"metadata": {"name": "rain-drift-check"}}},
            ("True", "WaitingForFirstCheck", "the first check follows 0 * * * *", False, False),
            id="scheduled",
        ),
        pytest.param(
            {"checked": a_condition("Checked", "True", "Checked", "Stable on 9 rows")},
            ("True", "Checked", "Stable on 9 rows", False, False),
            id="checked",
        ),
        pytest.param(
            {"checked": a_condition("Checked", "False", "DataUnusable", "the captures lack x")},
            ("False", "DataUnusable", "the captures lack x", False, False),
            id="a check that failed",
        ),
    ],
)
def test_where_a_monitor_stands(changes: dict[str, Any], want: tuple[str, str, str, bool, bool]) -> None:
    """Ready with reason and message, and whether anything is done about it."""
    assert flat(said(**changes)) == want


def test_a_monitor_that_only_holds_needs_no_template() -> None:
    """It waits for none."""
    hold = {"trainingRunRef": None, "actions": [{"when": ["DataQuality"], "do": "Hold"}]}
    monitor = a_monitor(spec=hold)
    view = DriftMonitorView(now=NOW, settings=SETTINGS, monitor=monitor, versions=(a_live_version(),))
    assert judged(view, MonitorProgress(monitor.status, {})).reason == "WaitingForFirstCheck"
