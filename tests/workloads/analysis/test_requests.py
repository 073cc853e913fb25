"""Errors and latency, from what servers stored to what is reported."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from mlops.api import tasks
from mlops.workloads.__main__ import __file__ as entry
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.records.tally import tallies_prefix
from tests.workloads.analysis.canaries import CANDIDATE, PLACE, SINCE, STABLE, CanaryWorld, a_signature


@pytest.fixture
def world(tmp_path: Path) -> CanaryWorld:
    return CanaryWorld(tmp_path)


@pytest.mark.parametrize(
    ("counts", "outcome"),
    [
        pytest.param({"stable": (9000, 9), "candidate": (1000, 1)}, "Successful", id="as seldom"),
        pytest.param({"stable": (9000, 9), "candidate": (900, 100)}, "Failed", id="a tenth"),
        pytest.param({"stable": (9000, 9), "candidate": (990, 10)}, "Inconclusive", id="at the limit"),
        pytest.param({"stable": (50, 0), "candidate": (7, 3)}, "Inconclusive", id="three of ten"),
        pytest.param({"stable": (50, 0), "candidate": (50, 0)}, "Inconclusive", id="none of fifty"),
        pytest.param({"stable": (5, 0), "candidate": (0, 20)}, "Failed", id="none is answered"),
    ],
)
def test_a_candidate_that_fails_more_than_it_may_fails(
    world: CanaryWorld, counts: dict[str, tuple[int, int]], outcome: str
) -> None:
    """At most a hundredth more; few requests decide nothing, and say how many more are wanted."""
    world.tally(**counts)
    report = world.judge(errorRate={})
    (result,) = report.criteria
    assert (report.outcome, result.outcome) == (outcome, outcome), result.message
    answered, failed = counts["candidate"]
    assert f"the candidate failed {failed:,} of {answered + failed:,} requests" in result.message
    assert ("waits for about" in result.message) is (outcome == "Inconclusive"), result.message
    assert float(str(result.low)) <= float(str(result.candidate)) - float(str(result.stable)) <= float(str(result.high))


def test_each_judgement_has_its_share_of_alpha(world: CanaryWorld) -> None:
    """The bounds of the tenth are further apart than those of the first."""
    world.tally(stable=(9000, 9), candidate=(1000, 1))
    first, tenth = (world.judge(look=look, errorRate={}).criteria[0] for look in (1, 10))
    assert float(str(tenth.low)) < float(str(first.low)) < float(str(first.high)) < float(str(tenth.high))


def test_reasons_of_failures_are_named(world: CanaryWorld) -> None:
    world.tally(stable=(9000, 9), candidate=(900, 100))
    assert "(timeout 100)" in world.judge(errorRate={}).criteria[0].message


def test_failures_in_one_burst_say_less_than_as_many_apart(world: CanaryWorld, tmp_path: Path) -> None:
    """Thirty failures in one of thirty files may be one event; one in each of them are thirty."""
    apart = CanaryWorld(tmp_path / "apart")
    for number in range(30):
        at = SINCE + timedelta(minutes=1 + number)
        world.tally(since=at, name=f"f{number}", stable=(900, 0), candidate=(70, 30) if number == 7 else (100, 0))
        apart.tally(since=at, name=f"f{number}", stable=(900, 0), candidate=(99, 1))
    burst, single = (each.judge(errorRate={"maxIncrease": "0.005"}).criteria[0] for each in (world, apart))
    assert single.outcome == "Failed" or float(str(single.low)) > float(str(burst.low))
    assert burst.outcome == "Inconclusive"
    assert float(str(burst.high)) > float(str(single.high))


def test_the_stable_version_counts_from_when_the_candidate_is_asked(world: CanaryWorld) -> None:
    """What it failed before the canary, and before the first file with the candidate in it, is of another time."""
    world.tally(since=SINCE - timedelta(hours=1), name="before", stable=(0, 5000))
    world.tally(since=SINCE + timedelta(seconds=1), name="alone", stable=(0, 5000), candidate=(0, 0))
    world.tally(stable=(900, 0), candidate=(100, 0))
    assert "the stable version 0 of 900" in world.judge(errorRate={}).criteria[0].message


def test_where_the_share_grew_another_time_of_day_is_no_difference(world: CanaryWorld) -> None:
    """Hardly anything fails at first, when the candidate gets a tenth, and a tenth later, when it gets half: both
    versions alike."""
    for number in range(20):
        at = SINCE + timedelta(minutes=1 + number)
        stable, candidate = ((900, 0), (100, 0)) if number < 10 else ((450, 50), (450, 50))
        world.tally(since=at, name=f"f{number}", stable=stable, candidate=candidate)
    (result,) = world.judge(errorRate={}).criteria
    assert float(str(result.candidate)) == pytest.approx(float(str(result.stable)), abs=0.01), result.message
    assert result.outcome == "Inconclusive"


@pytest.mark.parametrize(
    ("factor", "outcome"),
    [(1.0, "Successful"), (3.0, "Failed"), (1.5, "Inconclusive")],
    ids=["as fast", "thrice", "at"],
)
def test_a_candidate_that_is_much_slower_fails(world: CanaryWorld, factor: float, outcome: str) -> None:
    """p99 at most half as much again."""
    rng = np.random.default_rng(1)
    seconds = {STABLE: rng.lognormal(-6, 0.4, 9000), CANDIDATE: factor * rng.lognormal(-6, 0.4, 1500)}
    world.tally(stable=(9000, 0), candidate=(1500, 0), seconds=seconds)
    (result,) = world.judge(latency={}).criteria
    assert result.outcome == outcome, result.message
    assert float(str(result.low)) < factor < float(str(result.high))
    assert "p99 of 1,500 predictions of the candidate" in result.message


@pytest.mark.parametrize("criterion", ["errorRate", "latency"])
def test_without_requests_it_says_how_many_it_waits_for(world: CanaryWorld, criterion: str) -> None:
    (result,) = world.judge(**{criterion: {}}).criteria
    assert result.outcome == "Inconclusive"
    assert result.message.startswith("waits for requests: the candidate was asked none since the canary began; about ")


def test_when_the_candidate_gets_all_there_is_nothing_to_compare_it_with(world: CanaryWorld) -> None:
    world.tally(candidate=(1000, 0))
    assert "the stable version was asked none" in world.judge(errorRate={}).criteria[0].message


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xff{", id="no JSON"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b'{"since": "yesterday", "tallies": []}', id="no time"),
        pytest.param(b'{"since": "2026-11-01T12:01:00", "tallies": []}', id="no zone"),
        pytest.param(b'{"since": "2026-11-01T12:01:00+00:00", "tallies": [{}]}', id="no tally"),
        pytest.param(
            b'{"since": "2026-11-01T12:01:00+00:00", "tallies": [{"digest": "a", "answered": 1e999, "failed": 0, '
            b'"seconds": {}, "reasons": {}}]}',
            id="infinity",
        ),
        pytest.param(
            b'{"since": "2026-11-01T12:01:00+00:00", "tallies": [{"digest": "a", "answered": -1, "failed": 0, '
            b'"seconds": {}, "reasons": {}}]}',
            id="fewer than none",
        ),
        pytest.param(
            b'{"since": "2026-11-01T12:01:00+00:00", "tallies": [{"digest": "a", "answered": 1, "failed": 0, '
            b'"seconds": {"170": 1}, "reasons": {}}]}',
            id="no such bucket",
        ),
        pytest.param(b'{"since": ' * 50_000, id="deep"),
    ],
)
def test_a_file_that_no_server_writes_is_named(world: CanaryWorld, content: bytes) -> None:
    """With what to do about it."""
    key = f"{tallies_prefix(*PLACE)}date=2026-11-01/x.json"
    world.store.put_object(key, content)
    with pytest.raises(BadInput) as told:
        world.judge(errorRate={})
    assert told.value.reason == "DataUnusable"
    assert told.value.message.startswith(f"{key}: is no tally that a model server writes")
    assert told.value.message.endswith("take the file away")


def test_what_has_failed_ends_the_analysis(world: CanaryWorld) -> None:
    """Captures are not read any more, which may take long: a file among them that cannot be read hides no failure."""
    world.store.put_object("captures/shop/churn/production/requests/date=2026-11-01/x.parquet", b"nothing")
    world.tally(stable=(9000, 9), candidate=(500, 500))
    report = world.judge(predictionDrift={}, errorRate={}, latency={})
    assert report.outcome == "Failed"
    assert [(one.name, one.outcome) for one in report.criteria] == [
        ("errorRate", "Failed"),
        ("latency", "Inconclusive"),
        ("predictionDrift", "Inconclusive"),
    ]
    assert report.criteria[1].message == "was not measured: errorRate had failed"


def test_requests_are_judged_without_models_being_read(tmp_path: Path) -> None:
    """A regression and a classifier can be compared by errors and latency."""
    world = CanaryWorld(tmp_path, {STABLE: a_signature(None), CANDIDATE: a_signature()})
    world.tally(stable=(9000, 0), candidate=(1000, 0))
    assert world.judge(errorRate={}).outcome == "Successful"
    with pytest.raises(BadInput, match="their answers cannot be compared; leave out metric and predictionDrift"):
        world.judge(predictionDrift={})


def test_a_pod_leaves_the_report_in_its_termination_message(world: CanaryWorld, tmp_path: Path) -> None:
    """The program as a pod runs it: the task in the environment, exit code 0 whatever was found."""
    world.tally(stable=(9000, 9), candidate=(900, 100))
    log = tmp_path / "termination-log"
    environ = {variable["name"]: variable["value"] for variable in tasks.task_environment(world.task(errorRate={}))}
    environ |= {tasks.STORE_VARIABLE: f"file://{world.root}", tasks.TERMINATION_VARIABLE: str(log)}
    environ["PYTHONPATH"] = str(Path(entry).parents[2])
    command = [sys.executable, "-P", "-m", "mlops.workloads"]
    done = subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = tasks.parse_report(log.read_text())
    assert isinstance(report, tasks.AnalysisReport)
    assert report.outcome == "Failed"
    assert "mlops.workloads.analysis: ModelVersion shop/churn-v2: errorRate: Failed: the candidate fai" in done.stderr
