"""Mistakes that the manifest itself shows: `mlops run` says where and what is allowed, exits with 2, makes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from mlops.cli.main import cli

DATASET = """\
apiVersion: mlops.dev/v1alpha1
kind: Dataset
metadata: {name: rows}
spec:
  source: {s3: {uri: "s3://raw/rows/"}}
  format: csv
  fields:
    - {name: a, type: float64}
    - {name: y, type: string, role: label}
"""
RUN = """\
apiVersion: mlops.dev/v1alpha1
kind: TrainingRun
metadata: {name: rows}
spec:
  datasetRef: {name: rows}
  trainer: {estimator: {name: LogisticRegression}}
  register: {modelName: rows}
"""
CONTAINER = RUN.replace(
    "{estimator: {name: LogisticRegression}}", '{container: {image: "example.com/x:1", command: [python, train.py]}}'
)
VERSION = """\
apiVersion: mlops.dev/v1alpha1
kind: ModelVersion
metadata: {name: rows-v1}
spec:
  modelName: rows
  version: 1
  artifact: {digest: "sha256:DIGEST"}
""".replace("DIGEST", "0" * 64)
MONITOR = """\
apiVersion: mlops.dev/v1alpha1
kind: DriftMonitor
metadata: {name: rows}
spec:
  targetRef: {modelName: rows}
  schedule: "0 * * * *"
  window: {duration: 24h}
  checks: [{name: inputs, type: DataDrift}]
  actions: [{when: [DataQuality], do: Hold}]
"""
SOURCE = '{s3: {uri: "s3://raw/rows/"}}'
SHA = "0" * 64


def changed(text: str, old: str, new: str) -> str:
    assert old in text, "a case that changes nothing tests nothing"
    return text.replace(old, new)


def uri(text: str) -> str:
    return changed(DATASET, "s3://raw/rows/", text)


def url(text: str) -> str:
    return changed(DATASET, SOURCE, f'{{http: {{url: "{text}", sha256: "{SHA}"}}}}')


def with_spec(text: str, line: str) -> str:
    return text + f"  {line}\n"


CASES = [
    # 1 unknown field
    pytest.param(changed(RUN, "modelName", "modle"), "spec.register.modle: unknown field", id="1 typo"),
    pytest.param(changed(DATASET, "spec:", "spce:"), "spce: unknown field", id="1 typo at the top"),
    # 2 wrong type
    pytest.param(with_spec(RUN, 'backoffLimit: "two"'), "spec.backoffLimit", id="2 text for a number"),
    pytest.param(changed(DATASET, SOURCE, "s3"), "spec.source: Invalid value: 's3'", id="2 text for an object"),
    pytest.param(
        with_spec(RUN, "gates: [{metric: accuracy, min: 0.8}]"),
        "spec.gates[0].min: Invalid value: 0.8",
        id="2 a float for a decimal text",
    ),
    # 3 missing
    pytest.param(changed(DATASET, f"  source: {SOURCE}\n", ""), "spec.source: Required value", id="3 no source"),
    pytest.param(changed(DATASET, "{name: rows}", "{}"), "metadata.name: Required value", id="3 no name"),
    # 4 enum
    pytest.param(
        changed(DATASET, "csv", "xlsx"),
        "spec.format: Unsupported value: 'xlsx': supported values: 'parquet', 'csv'",
        id="4 format",
    ),
    # 5 counts
    pytest.param(with_spec(RUN, "backoffLimit: -1"), "spec.backoffLimit: Invalid value: -1", id="5 negative"),
    pytest.param(
        with_spec(DATASET, "validation: {minRows: 0}"), "spec.validation.minRows: Invalid value: 0", id="5 zero"
    ),
    pytest.param(
        with_spec(RUN, "backoffLimit: 1000000000"), "spec.backoffLimit: Invalid value: 1000000000", id="5 huge"
    ),
    # 6 empty and control characters
    pytest.param(
        changed(RUN, "modelName: rows", 'modelName: ""'), "spec.register.modelName: Invalid value: ''", id="6 empty"
    ),
    pytest.param(changed(DATASET, "name: a,", 'name: " ",'), "spec.fields[0].name: Invalid value: ' '", id="6 blank"),
    pytest.param(
        changed(DATASET, "name: a,", 'name: "a\\0",'), "spec.fields[0].name: Invalid value: 'a\\x00'", id="6 NUL"
    ),
    # 7, 8 names
    pytest.param(
        changed(DATASET, "{name: rows}", "{name: " + "a" * 53 + "}"), "at most 52 characters", id="7 long name"
    ),
    pytest.param(
        changed(RUN, "modelName: rows", "modelName: 1rows"), "a Service is named after it", id="8 no service name"
    ),
    pytest.param(
        changed(RUN, "modelName: rows", "modelName: ro.ws"),
        "spec.register.modelName: Invalid value: 'ro.ws'",
        id="8 dots",
    ),
    # 9 unicode
    pytest.param(
        changed(DATASET, "name: a,", "name: а,"), "spec.fields[0].name: Invalid value: 'а'", id="9 a Cyrillic letter"
    ),
    # 10, 11, 12 schedules
    pytest.param(
        changed(MONITOR, "0 * * * *", "61 * * * *"),
        "the minute (field 1 of the cron line) must be 0 to 59",
        id="10 minute 61",
    ),
    pytest.param(changed(MONITOR, "0 * * * *", "@every 1h"), "a cron line has five fields", id="10 @every"),
    pytest.param(changed(MONITOR, "0 * * * *", "0 0 * * * *"), "a cron line has five fields", id="10 six fields"),
    pytest.param(
        with_spec(MONITOR, 'timeZone: "../etc"'), "spec.timeZone: Invalid value: '../etc'", id="12 no zone name"
    ),
    # 13, 14, 15 durations and quantities
    pytest.param(
        changed(MONITOR, "24h", "5 minutes"), "spec.window.duration: Invalid value: '5 minutes'", id="13 words"
    ),
    pytest.param(changed(MONITOR, "24h", "-1s"), "a duration is numbers with d, h, m or s", id="13 negative"),
    pytest.param(changed(MONITOR, "24h", "1000000000h"), "spec.window.duration", id="13 huge"),
    pytest.param(with_spec(RUN, "resources: {limits: {memory: 1GBi}}"), "a quantity must match", id="14 unit"),
    pytest.param(
        with_spec(RUN, "resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}"),
        "requests.memory must not exceed limits.memory",
        id="15 request over limit",
    ),
    # 19, 20 exactly one
    pytest.param(
        changed(
            DATASET,
            SOURCE,
            f'{{s3: {{uri: "s3://raw/rows/"}}, http: {{url: "https://example.com/x", sha256: "{SHA}"}}}}',
        ),
        "exactly one of spec.source.s3, spec.source.http, spec.source.captured must be set",
        id="19 two sources",
    ),
    pytest.param(changed(DATASET, SOURCE, "{}"), "exactly one of spec.source.s3", id="20 no source"),
    pytest.param(
        changed(RUN, "{estimator: {name: LogisticRegression}}", "{}"),
        "exactly one of spec.trainer.estimator, spec.trainer.container",
        id="20 no trainer",
    ),
    # 28 digests
    pytest.param(changed(VERSION, SHA, "xyz"), "a digest is sha256: and 64 lower-case hex digits", id="28 short"),
    pytest.param(
        changed(VERSION, SHA, "A" * 64), "a digest is sha256: and 64 lower-case hex digits", id="28 upper case"
    ),
    pytest.param(
        changed(VERSION, f"sha256:{SHA}", "md5:d41d8cd98f00b204e9800998ecf8427e"), "spec.artifact.digest", id="28 md5"
    ),
    # 30 schemes
    *(
        pytest.param(
            uri(text), f"spec.source.s3.uri: Invalid value: '{text}': the form is s3://bucket/key", id=f"30 {text}"
        )
        for text in ("file:///etc/passwd", "gopher://x/y", "ftp://x/y", "data:,x")
    ),
    pytest.param(url("file:///etc/passwd"), "an http or https URL", id="30 file as http"),
    # 31 user information
    pytest.param(url("http://user@10.0.0.1/x"), "without user information", id="31 user@host"),
    # 32 keys
    *(
        pytest.param(uri(f"s3://raw/{key}"), "without .. , // , % or", id=f"32 {key}")
        for key in ("../x", "a/../b", "/x", "a//b", "%2e%2e/x", "a\\\\b")
    ),
    pytest.param(uri("s3://raw/a\\0b"), "spec.source.s3.uri", id="32 NUL"),
    # 43 where it can be seen
    pytest.param(
        changed(RUN, "{name: LogisticRegression}", '{name: LogisticRegression, params: {"C; rm": "1"}}'),
        "spec.trainer.estimator.params",
        id="43 no parameter name",
    ),
    # 45 what a template must not set
    *(
        pytest.param(
            changed(CONTAINER, "command:", f"{field}: {value}, command:"),
            f"spec.trainer.container.{field}: unknown field",
            id=f"45 {field}",
        )
        for field, value in (
            ("volumes", "[]"),
            ("securityContext", "{privileged: true}"),
            ("serviceAccountName", "admin"),
            ("hostNetwork", "true"),
        )
    ),
]


@pytest.mark.parametrize(("manifest", "want"), CASES)
def test_a_mistake_in_a_manifest_is_told_and_nothing_is_made(tmp_path: Path, manifest: str, want: str) -> None:
    """Exit code 2, the file, the field, the value and what is allowed; no state, no traceback."""
    file, state = tmp_path / "mine.yaml", tmp_path / "state"
    file.write_text(manifest)
    result = CliRunner().invoke(cli, ["run", "-f", str(file), "--state", str(state)])
    assert result.exit_code == 2, result.output
    assert want in result.output
    assert f"{file}: " in result.output
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit)
    assert not state.exists()


@pytest.mark.parametrize("manifest", [DATASET, RUN, CONTAINER, VERSION, MONITOR])
def test_what_the_cases_start_from_is_right(tmp_path: Path, manifest: str) -> None:
    """So each case is refused for its one change."""
    from mlops.cli import manifests

    (tmp_path / "mine.yaml").write_text(manifest)
    assert len(manifests.read([str(tmp_path)]).documents) == 1


@pytest.mark.parametrize(
    ("words", "want"),
    [
        pytest.param(["get", "foo"], "'foo' is no kind; there are datasets (dset)", id="get an unknown kind"),
        pytest.param(["get", "dset"], "there is no state here yet; `mlops run` makes it", id="get without a state"),
        pytest.param(["describe", "all", "x"], "name one kind to describe", id="describe all"),
        pytest.param(["describe", "dset", "x"], "there is no state here yet", id="describe without a state"),
        pytest.param(["delete", "all", "x"], "name one kind to delete", id="delete all"),
        pytest.param(["delete", "dset", "x"], "there is no state here", id="delete without a state"),
        pytest.param(["lineage", "x", "--at", "yesterday"], "--at 'yesterday': no moment", id="a moment in words"),
        pytest.param(["put", "none.csv", "s3://raw/x"], "none.csv: there is no such file", id="put nothing"),
        pytest.param(["put", __file__, "file:///x"], "the form is s3://bucket/key", id="put elsewhere"),
        pytest.param(["put", __file__, "s3://raw/../../x"], "without .. , // , % or \\", id="put outside"),
        pytest.param(["run", "-f", "nowhere"], "nowhere: there is no such file or folder", id="run nothing"),
        pytest.param(["report", "x"], "there is no state here yet", id="a report without a state"),
        pytest.param(["logs", "dset", "x"], "there is no state here yet", id="logs without a state"),
    ],
)
def test_a_mistake_on_the_command_line_is_told(tmp_path: Path, words: list[str], want: str) -> None:
    """Exit code 2 and a sentence; looking at a state that is not there does not make one."""
    result = CliRunner().invoke(cli, [*words, "--state", str(tmp_path / "state")])
    assert result.exit_code == 2, result.output
    assert want in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("words", "want"),
    [
        pytest.param(["--image", "x"], "--image 'x': the form is NAME=VALUE", id="an image without a folder"),
        pytest.param(["--image", "x=/nowhere"], "image x: /nowhere is no folder", id="a folder that is not there"),
        pytest.param(["--timeout", "0"], "0.0 is not in the range", id="no time"),
        pytest.param(["--scenario", "/nowhere"], "'/nowhere' does not exist", id="no scenario"),
    ],
)
def test_a_mistake_in_an_option_is_told(tmp_path: Path, words: list[str], want: str) -> None:
    """Before anything runs."""
    (tmp_path / "mine.yaml").write_text(DATASET)
    result = CliRunner().invoke(cli, ["run", "-f", str(tmp_path), *words, "--state", str(tmp_path / "state")])
    assert result.exit_code == 2, result.output
    assert want in result.output
    assert not (tmp_path / "state").exists()


def test_a_state_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """A file of the same name that is not ours, and a folder that cannot be one."""
    (tmp_path / "mine.yaml").write_text(DATASET)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "objects.sqlite").write_text("my shopping list, which is longer than a header" * 20)
    for words in (["run", "-f", str(tmp_path)], ["get", "all"], ["delete", "dset", "rows"]):
        result = CliRunner().invoke(cli, [*words, "--state", str(tmp_path / "state")])
        assert result.exit_code == 2, result.output
        assert "--state" in result.output
        assert isinstance(result.exception, SystemExit)
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(cli, ["run", "-f", str(tmp_path), "--state", str(tmp_path / "file" / "state")])
    assert result.exit_code == 2, result.output
    assert "Not a directory" in result.output
