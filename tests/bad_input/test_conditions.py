"""Mistakes that only the data, another object or the user's code shows: a condition says what, and the way out."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.bad_input.world import (
    FIELDS,
    Case,
    csv,
    dataset,
    estimator,
    good_csv,
    http,
    own,
    parquet,
    run,
    table,
    write,
)
from tests.cli.project import mlops

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

GOOD = [
    dataset("good", "Versioned", "40 rows", csv(good_csv())),
    dataset("bom 37 a byte order mark", "Versioned", "40 rows", csv("\ufeff" + good_csv())),
    dataset("quoted 37 line ends in quotes, and a formula", "Versioned", "2 rows", csv('a,y\n1,"=cmd()\nx"\n2,no\n')),
    dataset(
        "never 11 a day that no month has",
        "Versioned",
        "version 1",
        csv(good_csv()),
        refresh={"schedule": "0 0 30 2 *"},
    ),
]
# It has its version, and will never have another.
STALLED = [
    dataset(
        "zone 12",
        "ChildRefused",
        "spec.timeZone: 'Mars/Olympus'",
        csv(good_csv()),
        refresh={"schedule": "0 0 * * *", "timeZone": "Mars/Olympus"},
    ),
]
BAD = [
    dataset("no-source 23 nothing was delivered", "SourceNotFound", "s3://raw/no-source/"),
    dataset(
        "text-as-parquet 36 CSV named Parquet",
        "FormatError",
        "rows.parquet",
        {"rows.parquet": good_csv().encode()},
        format="parquet",
    ),
    dataset(
        "cut-parquet 36 cut off",
        "FormatError",
        "rows.parquet",
        {"rows.parquet": parquet(table())[:-30]},
        format="parquet",
    ),
    dataset("no-header 37", "SchemaMismatch", "a", csv(good_csv().partition("\n")[2])),
    dataset("twice 37 a column twice", "FormatError", "a", csv("a,a,y\n1,2,no\n3,4,yes\n")),
    dataset("ragged 37", "FormatError", "row 2 has 3 fields, the header has 2", csv("a,y\n1,no\n2,yes,3\n")),
    dataset("utf16 37", "FormatError", "UTF-16", {"rows.csv": good_csv().encode("utf-16")}),
    dataset("nul 37", "FormatError", "NUL", csv("a,y\n1,n\x00o\n2,yes\n")),
    dataset(
        "absent 39 a column that is not there",
        "SchemaMismatch",
        "b",
        csv(good_csv()),
        fields=[*FIELDS, {"name": "b", "type": "float64"}],
    ),
    dataset("wrong-type 39 a text among numbers", "SchemaMismatch", "row 2", csv("a,y\n1,no\nmany,yes\n")),
    dataset("one-class 40", "DataUnusable", "1 class", csv("a,y\n1,no\n2,no\n")),
    dataset("no-label 40 no value in the label", "Rejected", "y", csv("a,y\n1,\n2,\n")),
    dataset("no-rows 40", "DataUnusable", "row", csv("a,y\n")),
    dataset("infinite 42", "Rejected", "inf", csv("a,y\ninf,no\n2,yes\n")),
    dataset(
        "expression 44 code in a feature",
        "ExpressionInvalid",
        "spec.features[0].expression",
        csv(good_csv()),
        features=[{"name": "f", "expression": "__import__('os').system('id')"}],
    ),
    http("metadata 31", "http://169.254.169.254/latest/meta-data"),
    http("short 31", "http://127.1/x"),
    http("hexadecimal 31", "http://0x7f000001/x"),
    http("decimal 31", "http://2130706433/x"),
    http("loopback 31", "http://localhost./x"),
    http("six 31", "http://[fd00:ec2::254]/x"),
    run(
        "no-dataset 23",
        "DatasetNotFound",
        'Dataset "nowhere" not found in namespace "default"',
        estimator(),
        datasetRef={"name": "nowhere"},
    ),
    run(
        "not-ready 24",
        "DatasetNotReady",
        'Dataset "no-source" is not ready: SourceNotFound',
        estimator(),
        datasetRef={"name": "no-source"},
    ),
    run("no-estimator 43", "EstimatorUnknown", "LogisticRegresion", estimator("LogisticRegresion")),
    run("no-parameter 43", "ParameterInvalid", "spec.trainer.estimator.params.c", estimator(c="1")),
    run("out-of-range 43", "ParameterInvalid", "spec.trainer.estimator.params.C", estimator(C="-1")),
    run("shell 44", "ParameterInvalid", "$(rm -rf /)", estimator(C="$(rm -rf /)")),
    run("template 44", "ParameterInvalid", "{{ 7*7 }} %s", estimator(C="{{ 7*7 }} %s")),
    run(
        "gate 43 a metric that there is not",
        "MetricMissing",
        "my_metric",
        estimator(),
        gates=[{"metric": "my_metric", "min": "0"}],
    ),
    run(
        "exits",
        "TrainingFailed",
        "spec.trainer.container exited with code 3",
        own("exit", "$(touch ran)", "`id`", "%s"),
    ),
    run("onnx 49 a pickle named model.onnx", "FormatForbidden", "model.onnx", own("pickle-as-onnx")),
    run("skops 49 a pickle named model.skops", "FormatForbidden", "model.skops", own("pickle-as-skops")),
    run("pickle 49", "FormatForbidden", "model.pkl", own("pickle")),
    run("nothing 20", "OutputInvalid", "holds no model", own("nothing")),
    run("link", "OutputInvalid", "model.onnx is no plain file", own("link")),
    Case(
        "version 29",
        "ModelVersion",
        {"modelName": "lost", "version": 1, "artifact": {"digest": "sha256:" + "0" * 64}},
        "ArtifactNotFound",
        "0" * 64,
    ),
    Case(
        "monitor 23",
        "DriftMonitor",
        {
            "targetRef": {"modelName": "nowhere"},
            "schedule": "0 * * * *",
            "window": {"duration": "1d"},
            "checks": [{"name": "inputs", "type": "DataDrift"}],
            "actions": [{"when": ["DataQuality"], "do": "Hold"}],
        },
        "TargetNotFound",
        'spec.targetRef: model "nowhere" has no version in "default"',
    ),
]


@dataclass(frozen=True)
class Outcome:
    """What a run of the whole folder left."""

    folder: Path
    state: Path
    output: str

    def objects(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the objects by kind and name."""
        listed = json.loads(mlops("get", "all", "-o", "json", "--state", self.state).stdout)["items"]
        return {(one["kind"], one["metadata"]["name"]): one for one in listed}

    def condition(self, kind: str, name: str, type_: str = "Ready") -> dict[str, str]:
        """Return a condition of an object."""
        conditions: list[dict[str, str]] = self.objects()[kind, name]["status"]["conditions"]
        return next(one for one in conditions if one["type"] == type_)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    place = tmp_path_factory.mktemp("mistakes")
    folder = write(place / "project", GOOD + STALLED + BAD)
    ended = mlops("run", "-f", folder, "--state", place / "state", timeout=800)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    return Outcome(folder, place / "state", ended.stdout)


@pytest.fixture(scope="module")
def found(outcome: Outcome) -> dict[tuple[str, str], dict[str, Any]]:
    return outcome.objects()


@pytest.mark.parametrize("case", GOOD + STALLED + BAD, ids=lambda case: case.id)
def test_the_condition_says_what_is_wrong(found: dict[tuple[str, str], dict[str, Any]], case: Case) -> None:
    """A stable reason, and a message that names the place and the value."""
    status = found[case.kind, case.name]["status"]
    ready = next(one for one in status["conditions"] if one["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("True" if case in GOOD else "False", case.reason), ready["message"]
    assert case.message in ready["message"]
    assert len(ready["message"]) < 2_500


def test_the_summary_lists_just_what_is_not_ready(outcome: Outcome) -> None:
    """Each by kind, name, reason and message; who cannot be read is told where to read more."""
    listed = outcome.output.partition("Not ready:\n")[2]
    named = re.findall(r"^  (\w+) ([a-z0-9-]+): ", listed, re.MULTILINE)
    assert set(named) == {(case.kind, case.name) for case in BAD} | {("Dataset", "zone")}
    assert "(mlops logs trun exits)" in listed
    assert "Dataset zone: ChildRefused: CronJob default/zone-refresh: spec.timeZone: 'Mars/Olympus'" in listed
    assert "Dataset never: spec.refresh.schedule '0 0 30 2 *' never comes" in outcome.output


def test_no_mistake_of_the_user_s_ends_in_a_traceback(outcome: Outcome) -> None:
    """Neither on the terminal nor in any pod's log."""
    logs = list((outcome.state / "logs").rglob("*.log"))
    assert len(logs) > len(BAD) / 2
    assert [log for log in logs if "Traceback" in log.read_text(errors="replace")] == []


def test_nothing_of_what_failed_is_stored(outcome: Outcome, found: dict[tuple[str, str], dict[str, Any]]) -> None:
    """No version, no model, and no half of one: every blob is what its name says."""
    for case in BAD:
        status = found[case.kind, case.name]["status"]
        assert "version" not in status or case.kind != "Dataset"
        assert "modelVersionRef" not in status
    blobs = {}
    for file in (outcome.state / "store" / "blobs").rglob("*"):
        if file.is_file():
            blobs[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    assert blobs
    assert all(digest.endswith(name.removeprefix("sha256:")) for name, digest in blobs.items()), blobs


def test_no_pickle_is_run_and_no_argument_is_evaluated(outcome: Outcome) -> None:
    """Whatever it is named; the arguments of the user's command come as they were written."""
    assert sorted(file.name for file in (outcome.folder / "trainer").iterdir()) == ["train.py"]
    said = mlops("logs", "trun", "exits", "--state", outcome.state).stdout
    assert r'arguments: ["$(touch ran)", "`id`", "%s"]' in said
    assert "MLOPS_STORE" not in said.partition("variables:")[2].partition("\n")[0]


def test_what_is_put_right_becomes_ready_without_deleting_anything(outcome: Outcome) -> None:
    """The missing file is put, the spec is edited, the missing object is made: the same command again."""
    more = Path(outcome.folder.parent / "put")
    more.mkdir()
    (more / "rows.csv").write_text(good_csv())
    for name in ("no-source", "ragged"):
        put = mlops("put", more / "rows.csv", f"s3://raw/{name}/rows.csv", "--force", "--state", outcome.state)
        assert put.returncode == 0, put.stderr
    mended = [
        *(case for case in BAD if case.name in ("no-source", "ragged", "no-dataset", "not-ready")),
        dataset("absent mended", "", "", csv(good_csv())),
        dataset("text-as-parquet mended", "", "", {"rows.parquet": good_csv().encode()}, format="csv"),
        dataset("expression mended", "", "", csv(good_csv()), features=[{"name": "f", "expression": "a * 2"}]),
        dataset("nowhere", "", "", csv(good_csv())),
    ]
    folder = write(
        outcome.folder.parent / "mended", [replace(case, files={} if case in BAD else case.files) for case in mended]
    )
    ended = mlops("run", "-f", folder, "--state", outcome.state, timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for case in mended:
        assert outcome.condition(case.kind, case.name)["status"] == "True", case.id


def test_a_run_that_was_made_stays_as_it_is(outcome: Outcome, tmp_path: Path) -> None:
    """21: its spec is immutable, and the message says what to do instead."""
    folder = write(tmp_path / "edited", [run("out-of-range 43", "", "", estimator(C="1"))])
    ended = mlops("run", "-f", folder, "--state", outcome.state)
    assert ended.returncode == 2
    assert "is immutable" in ended.stderr
    assert 'TrainingRun "out-of-range" is invalid' in ended.stderr
