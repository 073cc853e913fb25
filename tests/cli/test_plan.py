"""`mlops plan` says what `mlops run` then does, and writes nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mlops.api.base import format_time
from mlops.cli.main import cli
from mlops.local.records import Record, Records, read_objects
from mlops.planning.plan import Key
from tests.cli.project import MANIFESTS, MONITOR, mlops, rows, write

pytestmark = pytest.mark.slow

TEMPLATE = MANIFESTS.replace(
    "  trainer: {estimator: {name: LogisticRegression}}\n",
    "  trainer: {estimator: {name: LogisticRegression}}\n  triggers: [{templateChange: {}}, {datasetVersion: {}}]\n",
)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a project that makes runs of a template, and its state after a run."""
    place = tmp_path_factory.mktemp("plan")
    folder = write(place / "project")
    assert TEMPLATE != MANIFESTS
    (folder / "tiny.yaml").write_text(TEMPLATE)
    ended = mlops("run", "-f", folder, "--state", place / "state")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return place


@pytest.fixture
def place(done: Path, tmp_path: Path) -> Path:
    """The same, to change."""
    for name in ("project", "state"):
        shutil.copytree(done / name, tmp_path / name, copy_function=shutil.copy2)
    return tmp_path


def planned(place: Path, *words: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """What is planned, by short kind and name."""
    invoked = CliRunner().invoke(
        cli, ["plan", "-f", str(place / "project"), "--state", str(place / "state"), "-o", "json", *words]
    )
    assert invoked.exit_code == code, invoked.output
    found: list[dict[str, Any]] = json.loads(invoked.output)
    return {f"{one['kind']}/{one['name']}": one for one in found}


def run(place: Path) -> str:
    ended = mlops("run", "-f", place / "project", "--state", place / "state")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def the(place: Path, kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(mlops("get", kind, name, "-o", "json", "--state", place / "state").stdout)
    return found


def edit(place: Path, *changes: tuple[str, str]) -> None:
    """Change the manifests."""
    file = place / "project" / "tiny.yaml"
    text = file.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)


def files_of(state: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and the time of its last writing; what SQLite makes beside its own to read is none."""
    return {
        str(path.relative_to(state)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in state.rglob("*")
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


def test_of_what_is_there_nothing_is_planned_and_nothing_is_written(place: Path) -> None:
    """Not even a time of writing changes; nor is a folder made that is not there."""
    before = files_of(place / "state")
    found = planned(place, "--exit-code")
    assert {name: one["action"] for name, one in found.items() if one["kind"] != "TrainingRun"} == {
        "Dataset/tiny": "keep",
        "ModelVersion/tiny-v1": "serve",
    }
    assert found["TrainingRun/tiny"]["because"] == "nothing calls for a run"
    assert files_of(place / "state") == before
    text = CliRunner().invoke(cli, ["plan", "-f", str(place / "project"), "--state", str(place / "state")]).output
    assert text.endswith("nothing to do: all of this is there\n")


def test_without_a_state_everything_is_new(place: Path) -> None:
    shutil.rmtree(place / "state")
    found = planned(place, "--exit-code", code=1)
    assert found["Dataset/tiny"]["action"] == "read"
    assert found["Dataset/tiny"]["because"] == "it is new: version 1 is made of it"
    (run_of_it,) = [one for one in found.values() if one["kind"] == "TrainingRun"]
    assert run_of_it["action"] == "wait"
    assert run_of_it["because"] == "it is new; what it trains on is known when Dataset tiny was read"
    assert not (place / "state").exists()


def test_a_new_file_is_read_and_what_that_comes_to_is_not_guessed(place: Path) -> None:
    """The case of a file that was put into a prefix: the plan names it, the run reads it and trains."""
    rows(60, start=300).write_parquet(place / "more.parquet")
    assert mlops("put", place / "more.parquet", "s3://raw/tiny/", "--state", place / "state").returncode == 0
    found = planned(place, "--exit-code", code=1)
    assert found["Dataset/tiny"]["action"] == "read"
    assert found["Dataset/tiny"]["because"] == (
        "s3://raw/tiny/ holds other files than at the last run; a new version, unless the rows come out as those of "
        "version 1"
    )
    assert found["TrainingRun/tiny"]["action"] == "wait"
    assert found["TrainingRun/tiny"]["because"] == (
        "a new version of Dataset tiny makes a run, which trains; the same rows make none"
    )
    assert "Dataset tiny unchanged, its source is synced again" in run(place)
    assert the(place, "dset", "tiny")["status"]["rows"] == 360
    assert the(place, "trun", "tiny-d2")["status"].get("cachedFrom") is None
    assert {one["action"] for one in planned(place).values()} == {"keep", "serve"}


def test_rows_that_come_are_trained_on_when_there_are_enough_more_of_them(place: Path) -> None:
    """Sixty of three hundred are not; with a hundred and twenty more they are, and the plan says what they come to."""
    edit(place, ("datasetVersion: {}", "datasetGrowth: {percent: 50}"))
    run(place)
    for start, count in ((300, 60), (360, 120)):
        rows(count, start=start).write_parquet(place / f"{start}.parquet")
        assert mlops("put", place / f"{start}.parquet", "s3://raw/tiny/", "--state", place / "state").returncode == 0
        assert planned(place, "--exit-code", code=1)["TrainingRun/tiny"]["because"] == (
            "a new version of Dataset tiny with 50 % more rows than the 300 of version 1 makes a run, which trains; "
            "the same rows make none"
        )
        run(place)
        made = mlops("get", "trun", "-o", "json", "--state", place / "state").stdout
        assert ("tiny-d3" in made, "tiny-d2" in made) == (start == 360, False)
    found = the(place, "trun", "tiny")["status"]
    assert found["trainedOn"] == {"dataset": "tiny", "version": 3, "rows": 480}
    assert found["lastTrigger"]["reason"] == "version 3: 480 rows, 60 % more than the 300 of version 1"


def test_another_recipe_trains_and_the_earlier_one_is_taken_from_the_cache(place: Path) -> None:
    """The plan names the run, and what of its inputs is other; and so it comes."""
    plain, other = "{name: LogisticRegression}", '{name: LogisticRegression, params: {C: "0.5"}}'
    edit(place, (plain, other))
    found = planned(place, "--exit-code", code=1)
    (name,) = [one["name"] for one in found.values() if one["action"] == "train"]
    assert "other than in tiny-" in found[f"TrainingRun/{name}"]["because"]
    assert "recipe: trainer.estimator.params" in found[f"TrainingRun/{name}"]["because"]
    assert found["Dataset/tiny"]["action"] == "keep"
    run(place)
    assert the(place, "trun", name)["status"].get("cachedFrom") is None
    edit(place, (other, plain))
    found = planned(place, "--exit-code", code=1)
    (name,) = [one["name"] for one in found.values() if one["action"] == "cache"]
    assert "its inputs are equal" in found[f"TrainingRun/{name}"]["because"]
    run(place)
    assert the(place, "trun", name)["status"]["cachedFrom"] in found[f"TrainingRun/{name}"]["because"]


def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlops.workloads.train.environment.digest", lambda: "sha256:" + "0" * 64)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(
            ("  gates:", "  reproducibility: {seed: 7}\n  gates:"),
            r"other than in tiny-\w+ are seed \(0 -> 7\)",
            id="seed",
        ),
        pytest.param(
            ("LogisticRegression", "DecisionTreeClassifier"),
            r"are recipe: trainer.estimator.name \(LogisticRegression -> DecisionTreeClassifier\)",
            id="estimator",
        ),
        pytest.param(('min: "0.6"', 'min: "0.7"'), r"the result of tiny-\w+ is taken: its inputs are equal", id="gate"),
    ],
)
def test_why_a_run_trains(place: Path, change: tuple[str, str], said: str) -> None:
    """Which input is other; a gate is none."""
    edit(place, change)
    told = [one["because"] for one in planned(place).values() if one["action"] in ("train", "cache")]
    assert len(told) == 1
    assert re.search(said, told[0]), told


def test_another_environment_is_an_input_too(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes no run by itself; a run that is made for a gate then trains."""
    _environment(monkeypatch)
    assert {one["action"] for one in planned(place).values()} == {"keep", "serve"}
    edit(place, ('min: "0.6"', 'min: "0.7"'))
    (told,) = [one["because"] for one in planned(place).values() if one["action"] == "train"]
    assert "are environment (other libraries, or another platform)" in told


@pytest.mark.parametrize(
    ("change", "action", "said"),
    [
        pytest.param(
            ("{name: b, type: float64}", '{name: b, type: float64, min: "-100"}'),
            "read",
            r"changed: spec.fields\[b\].min \(none -> -100\); a new version, unless the rows come out",
            id="the contract",
        ),
        pytest.param(
            ("  split:", "  refresh: {schedule: '0 0 * * *'}\n  split:"),
            "change",
            r"changed: spec.refresh .*; the rows stay those of version 1",
            id="beside the content",
        ),
    ],
)
def test_why_a_dataset_is_read(place: Path, change: tuple[str, str], action: str, said: str) -> None:
    edit(place, change)
    found = planned(place)["Dataset/tiny"]
    assert found["action"] == action
    assert re.search(said, found["because"]), found


def test_what_the_scenario_delivers_is_news(place: Path) -> None:
    """As `mlops run` delivers it before anything else."""
    rows(310).write_parquet(place / "project" / "rows.parquet")
    assert re.search(r"rows.parquet is delivered; a new version", planned(place)["Dataset/tiny"]["because"])
    before = files_of(place / "state")
    planned(place)
    assert files_of(place / "state") == before


def _a_day_ago(state: Path) -> None:
    """Have every CronJob of a state folder be made a day ago, and none of its ticks seen yet."""
    records = Records(state)
    try:
        for record in records.load():
            metadata = record.manifest["metadata"]
            if record.manifest["kind"] == "CronJob":
                made = format_time(datetime.now(UTC) - timedelta(days=1))
                old = {**record.manifest, "metadata": {**metadata, "creationTimestamp": made}, "status": {}}
                records.put(Key("CronJob", metadata["namespace"], metadata["name"]), Record(old, record.applied))
    finally:
        records.close()


def test_scheduled_work_that_is_due_is_planned_as_it_is_done(place: Path) -> None:
    """A sync and a check, of objects that are applied again and of those that are only there."""
    edit(place, ("  split:", "  refresh: {schedule: '0 * * * *'}\n  split:"))
    file = place / "project" / "tiny.yaml"
    file.write_text(file.read_text() + MONITOR.replace("0 0 1 * *", "0 * * * *"))
    run(place)
    assert {one["action"] for one in planned(place).values()} == {"keep", "serve"}
    _a_day_ago(place / "state")
    found = planned(place, "--exit-code", code=1)
    assert found["Dataset/tiny"]["action"] == "read"
    assert re.search(
        r"its schedule was due at 20\S+:00:00\+00:00; a new version, unless", found["Dataset/tiny"]["because"]
    )
    assert found["DriftMonitor/tiny"]["action"] == "check"
    assert re.fullmatch(r"its schedule was due at 20\S+:00:00\+00:00", found["DriftMonitor/tiny"]["because"])
    edit(place, (MONITOR.replace("0 0 1 * *", "0 * * * *"), ""))
    assert planned(place)["DriftMonitor/tiny"] == found["DriftMonitor/tiny"]
    run(place)
    owners = {owner["name"] for job in listed(place, "Job") for owner in job["metadata"]["ownerReferences"]}
    assert {"tiny-check", "tiny-refresh"} <= owners
    assert {one["action"] for one in planned(place).values()} == {"keep", "serve"}


def listed(place: Path, kind: str) -> list[dict[str, Any]]:
    """The objects of a kind in the state folder."""
    return [one for one in read_objects(place / "state") if one["kind"] == kind]


def _mistake(place: Path) -> None:
    edit(place, ("{name: LogisticRegression}", "{name: LogisticRegresion}"))


def _no_database(place: Path) -> None:
    (place / "state" / "objects.sqlite").write_bytes(b"something else" * 1000)


def _lost_file(place: Path) -> None:
    os.remove(place / "project" / "rows.parquet")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        pytest.param(_mistake, "spec.trainer.estimator.name", id="manifest"),
        pytest.param(_no_database, "holds no state of this program", id="state"),
        pytest.param(_lost_file, "there is no such file", id="scenario"),
    ],
)
def test_mistakes_are_those_of_a_run(place: Path, harm: Callable[[Path], None], said: str) -> None:
    """Told without a traceback, with exit code 2."""
    harm(place)
    invoked = CliRunner().invoke(cli, ["plan", "-f", str(place / "project"), "--state", str(place / "state")])
    assert invoked.exit_code == 2
    assert said in invoked.output
