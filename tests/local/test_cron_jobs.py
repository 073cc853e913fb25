"""CronJobs on a clock that a replay drives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops.engine.cluster import Invalid
from mlops.local.clock import VirtualClock
from mlops.planning.plan import Manifest
from tests.local.world import START, a_pod_spec, a_runtime, make, now, until


def a_cron_job(schedule: str = "0 * * * *", script: str = "true", **spec: Any) -> Manifest:
    job = {"spec": {"backoffLimit": 0, "template": {"spec": a_pod_spec(script)}}, "metadata": {"labels": {"a": "b"}}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "tick", "namespace": "default"},
        "spec": {
            "schedule": schedule,
            "concurrencyPolicy": "Forbid",
            "successfulJobsHistoryLimit": 10,
            **spec,
            "jobTemplate": job,
        },
    }


def scheduled(runtime: Any) -> list[datetime]:
    """Return the scheduled times in the names of the Jobs, as drift checks read them."""
    names = [job["metadata"]["name"] for job in runtime.list("Job")]
    return [datetime.fromtimestamp(int(name.removeprefix("tick-")) * 60, UTC) for name in names]


async def test_each_tick_makes_one_job_named_after_its_minute(tmp_path: Path) -> None:
    async with a_runtime(tmp_path, clock=VirtualClock(START)) as runtime:
        make(runtime, a_cron_job())
        ticks = []
        for _ in range(3):
            tick = runtime.next_tick()
            assert tick is not None
            ticks.append(tick)
            await runtime.advance(tick)
            await runtime.settled(10)
        job = runtime.list("Job")[0]
        status = now(runtime, "CronJob", "tick")["status"]
        assert scheduled(runtime) == ticks == [START + timedelta(hours=hour) for hour in (1, 2, 3)]
    assert job["metadata"]["labels"] == {"a": "b"}
    assert job["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"].startswith(
        "2026-03-01T13:00"
    )
    assert status["lastScheduleTime"] == "2026-03-01T15:00:00Z"
    assert "active" not in status


async def test_of_several_missed_ticks_only_the_last_is_made_up_for(tmp_path: Path) -> None:
    async with a_runtime(tmp_path, clock=VirtualClock(START)) as runtime:
        make(runtime, a_cron_job())
        await runtime.advance(START + timedelta(hours=7, minutes=30))
        await runtime.settled(10)
        assert scheduled(runtime) == [START + timedelta(hours=7)]


async def test_forbid_never_runs_two_and_makes_up_for_the_missed_one_afterwards(tmp_path: Path) -> None:
    async with a_runtime(tmp_path, clock=VirtualClock(START)) as runtime:
        make(runtime, a_cron_job(script=f"while ! test -e {tmp_path}/go; do sleep 0.02; done"))
        for hour in (1, 2, 3):
            await runtime.advance(START + timedelta(hours=hour))
        assert scheduled(runtime) == [START + timedelta(hours=1)]
        (tmp_path / "go").touch()
        await runtime.settled(10)
        assert scheduled(runtime) == [START + timedelta(hours=1), START + timedelta(hours=3)]


async def test_a_tick_that_is_too_late_is_left_out(tmp_path: Path) -> None:
    async with a_runtime(tmp_path, clock=VirtualClock(START)) as runtime:
        make(runtime, a_cron_job(startingDeadlineSeconds=600))
        await runtime.advance(START + timedelta(hours=1, minutes=30))
        await runtime.settled(10)
        assert scheduled(runtime) == []
        await runtime.advance(START + timedelta(hours=2, minutes=5))
        await runtime.settled(10)
        assert scheduled(runtime) == [START + timedelta(hours=2)]


async def test_a_suspended_cron_job_has_no_tick(tmp_path: Path) -> None:
    async with a_runtime(tmp_path, clock=VirtualClock(START)) as runtime:
        make(runtime, a_cron_job(suspend=True))
        assert runtime.next_tick() is None
        await runtime.advance(START + timedelta(hours=5))
        await runtime.settled(10)
        assert scheduled(runtime) == []


@pytest.mark.parametrize(
    ("day", "want"),
    [
        pytest.param("2026-03-29", ["2026-03-29T01:00", "2026-03-30T00:30"], id="the hour that does not exist"),
        pytest.param("2026-10-25", ["2026-10-25T00:30", "2026-10-26T01:30"], id="the hour that comes twice"),
    ],
)
async def test_a_daily_tick_comes_once_on_the_day_when_the_clock_changes(
    tmp_path: Path, day: str, want: list[str]
) -> None:
    """02:30 in Berlin."""
    start = datetime.fromisoformat(f"{day}T00:00:00+00:00") - timedelta(hours=12)
    async with a_runtime(tmp_path, clock=VirtualClock(start)) as runtime:
        make(runtime, a_cron_job("30 2 * * *", timeZone="Europe/Berlin"))
        for _ in range(2):
            tick = runtime.next_tick()
            assert tick is not None
            await runtime.advance(tick)
            await runtime.settled(10)
        assert [timestamp.strftime("%Y-%m-%dT%H:%M") for timestamp in scheduled(runtime)] == want


async def test_only_the_newest_jobs_are_kept(tmp_path: Path) -> None:
    async with a_runtime(tmp_path, clock=VirtualClock(START)) as runtime:
        make(runtime, a_cron_job(successfulJobsHistoryLimit=2))
        for hour in range(1, 5):
            await runtime.advance(START + timedelta(hours=hour))
            await runtime.settled(10)
        assert scheduled(runtime) == [START + timedelta(hours=hour) for hour in (3, 4)]
        assert len(runtime.list("Pod")) == 2, "a Job's pods go with it"


async def test_a_restart_goes_on_from_the_last_virtual_time(tmp_path: Path) -> None:
    async with a_runtime(tmp_path, clock=VirtualClock(START)) as runtime:
        make(runtime, a_cron_job())
        await runtime.advance(START + timedelta(hours=4))
        await runtime.settled(10)
    clock = VirtualClock(START)
    async with a_runtime(tmp_path, clock=clock) as runtime:
        assert clock.now() == START + timedelta(hours=4)
        await runtime.settled(10)
        assert len(scheduled(runtime)) == 1, "the tick is not made up for a second time"
        assert runtime.next_tick() == START + timedelta(hours=5)


async def test_a_schedule_that_never_comes_and_a_zone_that_does_not_exist(tmp_path: Path) -> None:
    async with a_runtime(tmp_path, clock=VirtualClock(START)) as runtime:
        make(runtime, a_cron_job("0 0 30 2 *"))
        assert runtime.next_tick() is None
        with pytest.raises(Invalid, match="Mars/Olympus"):
            runtime.cluster.apply_as("test", a_cron_job(timeZone="Mars/Olympus"))


async def test_without_forbid_two_run_at_once(tmp_path: Path) -> None:
    async with a_runtime(tmp_path, clock=VirtualClock(START)) as runtime:
        make(
            runtime, a_cron_job(script=f"while ! test -e {tmp_path}/go; do sleep 0.02; done", concurrencyPolicy="Allow")
        )
        for hour in (1, 2):
            await runtime.advance(START + timedelta(hours=hour))
        await until(lambda: sum(pod["status"].get("phase") == "Running" for pod in runtime.list("Pod")) == 2)
        (tmp_path / "go").touch()
        await runtime.settled(10)
