"""`mlops simulate`: the loop itself on recorded history, under another policy, beside never and a coin."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from mlops.cli.simulate import policies
from mlops.cli.simulate.command import failed_checks
from mlops.cli.simulate.limits import notes_on_faults
from mlops.cli.simulate.rehearsal import RehearsedPolicy
from tests.cli.project import MANIFESTS, REPLAY, SCENARIO, mlops, rows
from tests.planning.builders import a_monitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

CAPTURED = """\
  source:
    captured:
      modelName: tiny
      window: 100d
      history: {s3: {uri: "s3://raw/tiny/"}}
"""
MONITOR = """\
apiVersion: mlops.dev/v1alpha1
kind: DriftMonitor
metadata: {name: tiny}
spec:
  targetRef: {modelName: tiny}
  schedule: "0 0 1 * *"
  window: {duration: 30d, minSamples: 20}
  checks: [{name: worse, type: PerformanceDrop, metric: accuracy}]
"""
S3 = "{uri: 's3://raw/labels/', format: csv}"
WATCHES = "actions: [{when: [DataQuality], do: Hold}]"
RETRAINS = """\
  actions: [{when: [PerformanceDrop], do: Retrain}]
  trainingRunRef: {name: tiny}
"""


@dataclass(frozen=True)
class Past:
    """A state folder of a loop that only watched while the relation turned, and the policy that is asked about."""

    state: Path
    policy: Path
    watched: list[dict[str, Any]]


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    place = tmp_path_factory.mktemp("past")
    folder = place / "project"
    folder.mkdir()
    rows(300).write_parquet(folder / "rows.parquet")
    turned = pl.when(pl.col("y") == "yes").then(pl.lit("no")).otherwise(pl.lit("yes"))
    stream = rows(180, start=300)
    stream = stream.with_columns(pl.when(pl.int_range(180) >= 40).then(turned).otherwise("y").alias("y"))
    stream.write_parquet(folder / "stream.parquet")
    data = MANIFESTS.replace('  source: {s3: {uri: "s3://raw/tiny/"}}\n', CAPTURED)
    data += "  triggers: [{templateChange: {}}]\n"
    (folder / "tiny.yaml").write_text(f"{data}---\n{MONITOR}  {WATCHES}\n")
    (folder / "scenario.toml").write_text(SCENARIO + REPLAY)
    state = place / "state"
    ended = mlops("run", "-f", folder, "--state", state)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    policy = place / "policy.yaml"
    policy.write_text(MONITOR + RETRAINS)
    got = json.loads(mlops("get", "dmon", "tiny", "-o", "json", "--state", state).stdout)
    return Past(state, policy, got["status"]["history"])


def simulated(past: Past, *words: str) -> dict[str, Any]:
    ended = mlops("simulate", "-f", past.policy, "--state", past.state, "-o", "json", *words, timeout=900)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_a_policy_that_retrains_is_better_than_never_and_the_past_is_left_alone(past: Past) -> None:
    """The relation turned: who retrains answers right again. Never is what the monitor that only watched had seen."""
    before = {path: path.read_bytes() for path in (past.state / "store").rglob("*") if path.is_file()}
    found = simulated(past, "--against", "never", "--against", "coin", "--coins", "1")
    asked, never, coin = found["policies"]
    assert (asked["name"], never["name"], coin["name"]) == ("as written", "never", "coin 0")
    assert found["rows"] == asked["rows"] == 180
    assert asked["labelled"] == never["labelled"] == 180
    assert asked["metric"] == "accuracy"
    assert (never["runs"], never["versions"]) == (0, 0)
    verdicts = [check["verdict"] for check in past.watched]
    assert never["verdicts"] == {verdict: verdicts.count(verdict) for verdict in verdicts}
    assert never["checks"] == sorted(check["time"] for check in past.watched)
    assert asked["runs"] >= asked["versions"] >= 1
    assert asked["value"] > never["value"] + 0.1
    assert coin["runs"] <= asked["runs"]
    assert {path: path.read_bytes() for path in (past.state / "store").rglob("*") if path.is_file()} == before


def test_since_a_time_only_later_rows_are_replayed(past: Past) -> None:
    """The first model is that of the delivered files, as it is wherever nothing is live yet."""
    found = simulated(past, "--since", "60d", "--against", "never")
    never = found["policies"][1]
    assert found["rows"] == never["rows"] == 60
    assert never["value"] < 0.3
    assert "no captured row from before" in " ".join(found["notes"])


@pytest.mark.parametrize(
    ("change", "words", "said"),
    [
        pytest.param(
            ("name: tiny}\n", "name: tiny}\n"), ("--since", "soon"), "--since 'soon': say a length", id="since"
        ),
        pytest.param(("name: tiny}\n", "name: tiny}\n"), ("--since", "2031-01-01"), "was recorded after", id="later"),
        pytest.param(
            ("  trainingRunRef", "  labels: {sources: [{feedback: {}}, {s3: " + S3 + "}]}\n  trainingRunRef"),
            (),
            "spec.labels.sources[1] is s3://raw/labels/: a rehearsal has the labels of the feedback endpoint only",
            id="delivered labels",
        ),
        pytest.param(
            ("  trainingRunRef", "  labels: {sources: [{datasetRef: {name: outcomes}}]}\n  trainingRunRef"),
            (),
            "spec.labels.sources[0] is Dataset outcomes: a rehearsal has",
            id="labels of a Dataset",
        ),
        pytest.param(
            ("  trainingRunRef", "  reference: {datasetRef: {name: tiny, version: 1}}\n  trainingRunRef"),
            (),
            "spec.reference.datasetRef is Dataset tiny: a rehearsal trains on versions of its own",
            id="a Dataset to compare with",
        ),
        pytest.param(
            (
                "  trainingRunRef",
                "  reference: {window: {start: 2001-01-01T00:00:00Z, end: 2001-02-01T00:00:00Z}}\n  trainingRunRef",
            ),
            (),
            "spec.reference.window ends at 2001-02-01T00:00:00Z, and the first request in the state folder is of",
            id="a window of which nothing was recorded",
        ),
        pytest.param(("modelName: tiny", "modelName: other"), (), "no request of other", id="model"),
        pytest.param(
            ("metric: accuracy", "metric: cost"),
            (),
            "--metric cost: TrainingRun 'tiny' does not say what answers cost: apply it with spec.costs",
            id="costs that nobody said",
        ),
        pytest.param(
            ("trainingRunRef: {name: tiny}", "trainingRunRef: {name: other}"), (), "TrainingRun 'other'", id="run"
        ),
    ],
)
def test_a_mistake_is_told_before_anything_runs(
    past: Past, tmp_path: Path, change: tuple[str, str], words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "policy.yaml").write_text(past.policy.read_text().replace(*change))
    ended = mlops("simulate", "-f", tmp_path / "policy.yaml", "--state", past.state, *words)
    assert ended.returncode == 2, ended.stdout
    assert said in " ".join(ended.stderr.split())


def test_what_was_not_recorded_and_what_cannot_be_read_is_refused(past: Past) -> None:
    """Personal inputs are missing in captures, and a database has no yesterday."""
    from mlops.api.drift_monitor import DriftMonitor
    from mlops.api.kinds import parse
    from mlops.cli.errors import UserError
    from mlops.cli.inspect import load
    from mlops.cli.simulate.command import _others
    from mlops.cli.state import State

    monitor = parse(yaml.safe_load(past.policy.read_text()))
    assert isinstance(monitor, DriftMonitor)
    objects = load(State(past.state))
    assert [one["kind"] for one in _others(monitor, objects)[0]] == ["Dataset", "TrainingRun"]
    spec = next(one for one in objects if one["kind"] == "Dataset")["spec"]
    spec["governance"] = {"pii": ["a"]}
    with pytest.raises(UserError, match="input 'a' of Dataset 'tiny' is personal and not recorded"):
        _others(monitor, objects)
    spec["governance"], spec["source"] = {"pii": ["a"], "piiInCaptures": ["a"]}, {"http": {"url": "https://x.org/a"}}
    with pytest.raises(UserError, match="Dataset 'tiny' reads http"):
        _others(monitor, objects)


def test_coins_are_the_same_by_their_seed_and_have_as_many_runs(past: Past) -> None:
    """Each is a draw of so many of the checks, at which the monitor's spec has a run follow whatever is found."""
    checks = tuple(datetime.fromisoformat(check["time"]) for check in past.watched)
    spec: dict[str, Any] = {"schedule": "0 0 1 * *"}
    one, again, other = (policies.coin(spec, checks, 2, seed) for seed in (1, 1, 2))
    assert one == again != other
    assert sum(each["actions"][0]["do"] == "Retrain" for each in one.switched.values()) == 2
    assert set(one.switched) == set(checks)


def test_a_window_of_rows_and_captured_requests_to_compare_with_are_rehearsed(past: Past, tmp_path: Path) -> None:
    """What was recorded before the beginning is there; checks with nothing to compare with are told."""

    def found(name: str, **changes: Any) -> dict[str, Any]:
        policy = yaml.safe_load(past.policy.read_text())
        policy["spec"].update(changes)
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(policy))
        return simulated(Past(past.state, path, past.watched), "--since", "100d", "--against", "never")

    rows_ = found("rows", window={"rows": 30, "minSamples": 20})
    never = rows_["policies"][1]
    assert sum(never["verdicts"].values()) == len(never["checks"]) > 0
    assert never["verdicts"].get("PerformanceDrop", 0) > 0
    early = found("early", reference={"seasonal": {"offset": "3000d"}})
    assert all(set(one["verdicts"]) == {"Inconclusive"} for one in early["policies"])
    assert any("Windows are compared with captured requests" in note for note in early["notes"])


def test_checks_that_fail_are_told_with_their_reason() -> None:
    """A table of verdicts alone would look as if there had been nothing to see; the newest hundred are on record."""
    times = tuple(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(120))
    good = RehearsedPolicy("never", times, {"Stable": 100}, 0, 0, "mae", 1.0, (), 10, 10)
    bad = replace(good, name="as written", verdicts={"Stable": 97}, fault="spec.window spans nothing")
    assert list(failed_checks([good, bad])) == [
        "as written: 3 of the 100 newest checks failed: spec.window spans nothing"
    ]


def test_that_a_known_fault_holds_back_always_and_coins_is_told() -> None:
    """Nothing is trained on data with a known fault, by whatever policy."""
    spec = a_monitor(spec={"checks": [{"name": "delivery", "type": "DataQuality"}]}).spec
    assert "no policy trains while one has found a fault" in " ".join(notes_on_faults(spec))
    assert list(notes_on_faults(a_monitor().spec)) == []
