"""Every folder of examples, run as its README says, comes out as its README says: in words, whatever the tuning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.runs import Ended, Object, checks, differences, facts, half_artifacts, live, objects, one, run, touching
from tests.servers.example_database import environ_of

EXAMPLES = Path(__file__).parents[2] / "examples"
FAULT = "1981-11-09"
DRIFTS = {"DataDrift", "PredictionDrift", "LabelShift", "PerformanceDrop", "ConceptDrift"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@dataclass(frozen=True)
class Example:
    """An example that has been run once."""

    folder: Path
    state: Path
    first: Ended

    @property
    def versions(self) -> list[Object]:
        """The versions of its models."""
        return objects(self.state, "ModelVersion")


@pytest.fixture(scope="module")
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Example]:
    """Run an example, once for all tests of this module."""
    known: dict[str, Example] = {}

    def ran(name: str) -> Example:
        if name not in known:
            state, folder = tmp_path_factory.mktemp(name) / "state", EXAMPLES / name
            environ = environ_of(folder, lambda: request.getfixturevalue("postgresql_running"))
            known[name] = Example(folder, state, run(folder, state, timeout=900, environ=environ))
        return known[name]

    return ran


Ran = Callable[[str], Example]


# These take minutes each; what they alone show is what their monitors say.
LONG = ("weather", "employment", "housing", "own-trainer", "taxi")


def _example(name: str) -> Any:
    return pytest.param(name, marks=[pytest.mark.long] if name in LONG else [])


@pytest.mark.parametrize("name", [_example(path.parent.name) for path in sorted(EXAMPLES.glob("*/scenario.toml"))])
def test_each_example_runs_as_it_stands(example: Ran, name: str) -> None:
    """It ends by itself with code 0, serves a version, leaves nothing half and nothing running."""
    ran = example(name)
    assert ran.first.code == 0
    assert "Traceback" not in ran.first.output
    for model in {version["spec"]["modelName"] for version in ran.versions}:
        assert live(ran.state, model)["status"]["artifact"].startswith("sha256:")
    assert ran.versions
    assert half_artifacts(ran.state) == []
    assert touching(ran.state) == set()


@pytest.mark.parametrize("monitor", [_example(name) for name in LONG])
def test_the_monitor_judges_all_of_the_stream(example: Ran, monitor: str) -> None:
    """Its checks come to an answer, most of them; a report lies there for each that is listed."""
    ran = example(monitor)
    found = checks(ran.state, monitor)
    assert len(found) >= 5
    assert len([check for check in found if check["verdict"] == "Inconclusive"]) < len(found) / 2
    laid_out = list((ran.state / "reports" / monitor).glob("*.html"))
    assert len(laid_out) == len([check for check in found if check.get("report")])


@pytest.mark.long
def test_weather_finds_no_changed_relation_before_the_fault(example: Ran) -> None:
    """Seasons and instruments move the inputs; the relation holds until the columns are shifted."""
    before = [check for check in checks(example("weather").state, "weather") if check["time"] < FAULT]
    assert before
    assert [check for check in before if check["verdict"] == "ConceptDrift"] == []


@pytest.mark.long
def test_weather_falls_with_the_fault_and_recovers_with_a_new_version(example: Ran) -> None:
    """After the fault the served model gets worse; the loop brings a version that is better again."""
    ran = example("weather")
    born = {v["metadata"]["name"]: went_live(v) for v in ran.versions if went_live(v)}
    new = sorted(time for time in born.values() if time > FAULT)
    assert new, f"no version went live after the fault: {born}"
    found = [check for check in checks(ran.state, "weather") if check.get("metric")]
    healthy = mean(check for check in found if check["time"] < FAULT)
    # The old version's last judgements: windows with the fault in them.
    fallen = min(float(check["metric"]) for check in found if FAULT < check["time"] <= new[0])
    assert fallen < healthy - 0.05
    # A window is wholly the newest version's some time after it went live: the last year of the stream is.
    settled = mean(found[-2:])
    print(f"roc_auc before the fault {healthy:.3f}, at its worst {fallen:.3f}, at the end {settled:.3f}")
    assert settled > fallen + 0.03
    assert [check for check in checks(ran.state, "weather") if check["time"] > FAULT and check["verdict"] in DRIFTS]


def mean(found: Any) -> float:
    """The mean of the checks' metric."""
    values = [float(check["metric"]) for check in found]
    return sum(values) / len(values)


def went_live(version: Object) -> str:
    """When the version entered production; empty if it never did."""
    steps = version.get("status", {}).get("transitions", [])
    return min((step["time"] for step in steps if step["to"] == "production"), default="")


@pytest.mark.long
def test_employment_stays_silent(example: Ran) -> None:
    """Nothing changes there: no drift in three years, and the first version serves to the end."""
    ran = example("employment")
    assert {check["verdict"] for check in checks(ran.state, "employment")} & DRIFTS == set()
    assert [version["metadata"]["name"] for version in ran.versions] == ["employment-v1"]


@pytest.mark.long
def test_housing_is_in_another_county_and_learns_it(example: Ran) -> None:
    """The history moves from county to county too, so that a new one is drift only where it costs the model what no
    county did; the monitor says so, and at least one new version comes of it."""
    ran = example("housing")
    assert {check["verdict"] for check in checks(ran.state, "housing")} & DRIFTS
    assert len(ran.versions) >= 2
    assert live(ran.state, "housing")["spec"]["version"] >= 2


@pytest.mark.long
def test_taxi_finds_the_closed_bridge(example: Ran) -> None:
    """From April on trips to one district take longer: the relation has changed, and nothing had before."""
    found = checks(example("taxi").state, "taxi")
    assert [check["verdict"] for check in found if check["time"] < "2024-04-02"] == ["Stable"] * 3
    assert [check["verdict"] for check in found if check["time"] > "2024-04-02"] == ["ConceptDrift"] * 3


@pytest.mark.long
def test_weather_a_second_time_takes_a_tenth_and_changes_nothing(example: Ran) -> None:
    """All digests are equal, no Job is made, in less than 10 % of the time."""
    ran = example("weather")
    before, jobs = facts(ran.state), {job["metadata"]["uid"] for job in objects(ran.state, "Job")}
    second = run(ran.folder, ran.state)
    assert second.code == ran.first.code == 0
    assert differences(before, facts(ran.state)) == []
    assert {job["metadata"]["uid"] for job in objects(ran.state, "Job")} == jobs
    print(f"first {ran.first.seconds:.1f} s, second {second.seconds:.1f} s: {second.seconds / ran.first.seconds:.1%}")
    assert second.seconds < 0.1 * ran.first.seconds
    assert one(ran.state, "DriftMonitor", "weather")["status"]["history"]
