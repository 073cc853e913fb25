"""`mlops explain`: what a reason means, and the way out."""

from __future__ import annotations

from click.testing import CliRunner

from mlops.cli.main import cli


def test_a_reason_is_explained_for_each_kind_that_has_it() -> None:
    """Whoever sees a reason in `kubectl get` is one command away from what to do."""
    ended = CliRunner().invoke(cli, ["explain", "datasetnotready"])
    assert ended.exit_code == 0
    assert ended.output.startswith("DatasetNotReady (TrainingRun; Ready=False|Unknown, DatasetReady, Succeeded)\n")
    assert "Way out: Mend the Dataset" in ended.output
    several = CliRunner().invoke(cli, ["explain", "OOMKilled"]).output
    assert [kind for kind in ("Dataset", "TrainingRun", "ModelVersion", "DriftMonitor") if f"({kind};" in several] == [
        "Dataset",
        "TrainingRun",
        "ModelVersion",
        "DriftMonitor",
    ]


def test_a_word_that_is_no_reason_names_those_like_it() -> None:
    """A slip of the pen costs no search."""
    ended = CliRunner().invoke(cli, ["explain", "DatasetNotRedy"])
    assert ended.exit_code == 2
    assert "did you mean DatasetNotReady" in ended.output
    assert "docs/reasons.md" in CliRunner().invoke(cli, ["explain", "zzz"]).output
