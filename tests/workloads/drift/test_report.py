"""The report: complete, small enough, safe to open, and the same for the same rows."""

from __future__ import annotations

import html.parser
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from bench.drift_streams import Stream, signature_of
from mlops.api import tasks
from mlops.api.drift_monitor import CheckResult, FeatureShift, MetricReading, OlderVersion
from mlops.api.drift_reference import ReferenceSource
from mlops.api.label_sources import LabelSourceResult
from mlops.workloads.drift.run import fitting
from tests.workloads.drift.conftest import LABELS, REQUESTS, World

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


class Elements(html.parser.HTMLParser):
    """Which elements and attributes a page really has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.data: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == ("script", {"type": "application/json", "id": "report"}):
            self.data.append(data)


def test_the_report_holds_what_the_verdict_rests_on(changed: World) -> None:
    """Counts, every check with its numbers, features, histograms, the metric over time, attribution, versions."""
    changed.write_all()
    found = changed.document(changed.check())
    assert found["verdict"] == "ConceptDrift"
    assert [one["type"] for one in found["checks"]][-1] == "ConceptDrift"
    assert found["checks"][-1]["numbers"]["pValue"] < 0.01
    assert len(found["features"]) == 6
    assert {one["name"] for one in found["histograms"]} == {one["name"] for one in found["features"]}
    assert len(found["performance"]["series"]) == 12
    assert found["attribution"]["identifiable"] is True
    assert found["challenger"]["gain"]["value"] > 0
    assert set(found["libraries"]) >= {"numpy", "polars", "scikit-learn"}
    for bars in (one["bars"] for one in found["histograms"]):
        assert sum(bar["current"] for bar in bars) == pytest.approx(1.0)
        assert sum(bar["reference"] for bar in bars) == pytest.approx(1.0)


def test_the_page_stands_alone_and_shows_the_parts(changed: World) -> None:
    """No request leaves it: no source, no link, no script that runs, a policy that forbids them all."""
    changed.write_all()
    report = changed.check()
    page = changed.page(report)
    elements = Elements(page)
    assert "The relation of inputs to target has changed" in page
    assert page.count("<svg") == 1 + 1 + 6
    assert 'class="change"' in page
    assert json.loads("".join(elements.data)) == changed.document(report)
    assert not [attrs for _, attrs in elements.tags if {"src", "href", "style"} & set(attrs)]
    assert [attrs for tag, attrs in elements.tags if tag == "script"] == [{"type": "application/json", "id": "report"}]
    policy = next(attrs["content"] for tag, attrs in elements.tags if attrs.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "prefers-color-scheme:dark" in page


def test_the_policy_allows_just_the_style_sheet_of_the_page(stable: World) -> None:
    """The hash is that of the bytes between the tags, or a browser would show bare text."""
    import base64
    import hashlib

    stable.write_all()
    page = stable.page(stable.check("DataDrift"))
    style = re.search("<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"sha256-{digest}" in page


def test_names_and_categories_from_data_are_escaped(tmp_path: Path, streams: dict[str, Stream]) -> None:
    """A field, a category and a label that are markup stay text."""
    world = World(tmp_path / "store", streams["stable"], 0)
    world.write_all()
    evil = pl.when(pl.col("in.region") == "north").then(pl.lit(EVIL)).otherwise(pl.col("in.region")).alias("in.region")
    from mlops.workloads.drift.document import document
    from mlops.workloads.drift.page import page
    from mlops.workloads.drift.reference import make_reference
    from mlops.workloads.drift.verdict import decide
    from mlops.workloads.drift.window import window_of

    names = {"in.x0": f"in.{EVIL}"}
    reference = make_reference(
        signature_of(world.stream.reference.frame),
        world.stream.reference.frame.with_columns(evil).rename(names),
        where="here",
    )
    reference = replace(reference, label=EVIL)
    window = world.stream.windows[0]
    shown = window_of(window.frame.drop("judged").with_columns(evil).rename(names), window.span)
    task = world.task()
    decision = decide(reference, shown, task.checks, limits=task.window, labels=task.labels, seed=1)
    text = page(document(task, reference, shown, decision))
    elements = Elements(text)
    assert EVIL not in text
    assert "&lt;img src=x onerror=alert(2)&gt;" in text
    assert not [tag for tag, _ in elements.tags if tag == "img"]
    assert len([tag for tag, _ in elements.tags if tag == "script"]) == 1
    assert not [attrs for _, attrs in elements.tags if any(name.startswith("on") for name in attrs)]


def test_the_same_rows_give_the_same_bytes_in_whatever_files_and_order(changed: World, tmp_path: Path) -> None:
    """Rows shuffled over more files, in the window with all the randomness: attribution and challenger."""
    changed.write_all()
    first = changed.check()
    other = World(tmp_path / "other", changed.stream, changed.number)
    rows = other.captured.sample(fraction=1.0, shuffle=True, seed=4)
    other.write(REQUESTS, rows.head(500), "z")
    other.write(REQUESTS, rows.tail(700), "a")
    other.write(LABELS, other.labels.sample(fraction=1.0, shuffle=True, seed=5), "m")
    assert other.check() == first
    assert first.verdict == "ConceptDrift"


def test_the_sample_of_a_large_window_does_not_depend_on_the_files(stable: World, tmp_path: Path) -> None:
    """Which rows are drawn is decided by their ids."""
    stable.write_all()
    other = World(tmp_path / "other", stable.stream, stable.number)
    other.write(REQUESTS, other.captured.reverse().head(1000), "z")
    other.write(REQUESTS, other.captured.head(200), "a")
    other.write(LABELS, other.labels)
    settings = {"max_samples": 600}
    assert other.check(window=settings) == stable.check(window=settings)


@pytest.mark.slow
def test_the_number_of_threads_changes_no_bit(changed: World) -> None:
    """The same check in processes with one and with three threads."""
    changed.write_all()
    program = (
        "import sys; from pathlib import Path; from mlops.api import tasks; from mlops.workloads.floor.pod import Pod;"
        "from mlops.workloads.drift.run import check; import os;"
        "print(check(Pod(os.environ, Path('.')), tasks.parse_task(os.environ['MLOPS_TASK'])).report_digest)"
    )
    import os

    environ = {**os.environ, **changed.pod().environ, "MLOPS_TASK": json.dumps(changed.task().dump())}
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**environ, "OMP_NUM_THREADS": threads, "POLARS_MAX_THREADS": threads},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for threads in ("1", "3")
    }
    assert len(digests) == 1


def test_a_check_of_inputs_alone_does_not_import_scikit_learn(stable: World) -> None:
    """Its import takes longer than the check."""
    stable.write_all()
    program = (
        "import os, sys; from pathlib import Path; from mlops.api import tasks;"
        "from mlops.workloads.floor.pod import Pod;"
        "from mlops.workloads.drift.run import check;"
        "check(Pod(os.environ, Path('.')), tasks.parse_task(os.environ['MLOPS_TASK'])); print('sklearn' in sys.modules)"
    )
    import os

    task = stable.task("DataQuality", "DataDrift", "PerformanceDrop", "ConceptDrift")
    environ = {**os.environ, **stable.pod().environ, "MLOPS_TASK": json.dumps(task.dump())}
    done = subprocess.run([sys.executable, "-c", program], env=environ, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("checks", [pytest.param(2, id="few checks"), pytest.param(32, id="as many as allowed")])
def test_the_answer_fits_into_a_termination_message(stable: World, checks: int) -> None:
    """Long names, long messages, twenty features: cut until it fits, what was found kept."""
    stable.write_all()
    report = stable.check("DataDrift")
    found = CheckResult(name="z" * 52, type="ConceptDrift", result="Detected", message="ü" * 256)
    quiet = [
        CheckResult(name=f"{n:02}" + "y" * 50, type="PerformanceDrop", result="NotDetected", message="ü" * 256)
        for n in range(checks - 1)
    ]
    shifts = [FeatureShift(name=f"{n}" + "ж" * 250, effect_size="1", p_value="0", drifted=True) for n in range(20)]
    cut = fitting(report.model_copy(update={"checks": (*quiet, found), "top_features": tuple(shifts)}))
    assert len(tasks.write_report(cut).encode()) <= tasks.MAX_REPORT_BYTES
    assert "z" * 52 in {one.name for one in cut.checks}


def test_the_longest_report_that_there_is_fits(stable: World) -> None:
    """Eight sources with long addresses, older versions, rows to label: no check ends in an endless search for room."""
    stable.write_all()
    report, digest = stable.check(), "sha256:" + "9" * 64
    counts = dict.fromkeys(
        ("labelled", "unmatched", "duplicates", "conflicts", "early", "late", "unusable", "disagreeing"), 9_999_999
    )
    values = dict.fromkeys(("live", "older", "gain", "low", "high", "p_value"), "-0.0001234")
    reading = MetricReading(name="log_loss", reference="0.123456", current="0.123456", low="0.123456", high="0.123456")
    asked = report.evolve(
        label_sources=tuple(LabelSourceResult(source="é" * 120, message="é" * 160, **counts) for _ in range(8)),
        reference=ReferenceSource(source="x" * 256, digest=digest, rows=40_000),
        metric=reading,
        estimated_metric=reading,
        older=OlderVersion(version="v" * 52, artifact=digest, against=digest, metric="log_loss", better=True, **values),
        not_measured="é" * 300,
        labels_wanted=tasks.LabelsWanted(rows=200, asked_before=200, needed=20_000, file="label-request.jsonl"),
    )
    cut = fitting(asked)
    assert tasks.parse_report(tasks.write_report(cut)) == cut
    assert (len(cut.label_sources), cut.older, cut.labels_wanted) == (8, asked.older, asked.labels_wanted)
    assert cut.checks, "the answers are worth more than the addresses"


def test_as_many_sources_of_labels_as_allowed_never_keep_the_answer_from_ending(stable: World) -> None:
    """Shortening comes to an end whatever is long; a fault of the data is kept before counts of sources."""
    stable.write_all()
    report = stable.check("DataDrift")
    numbers = dict.fromkeys(("labelled", "unmatched", "duplicates", "conflicts", "early", "late", "disagreeing"), 10**7)
    source = LabelSourceResult(source="ü" * 120, message="ü" * 160, **numbers)
    faulty = CheckResult(name="z" * 52, type="DataQuality", result="Detected", message="ü" * 256)
    found = [CheckResult(name=f"{n:02}" + "y" * 50, type="DataDrift", result="Detected") for n in range(31)]
    long = report.evolve(checks=(*found, faulty), label_sources=(source,) * 8, not_measured="ü" * 256)
    cut = fitting(long)
    assert len(tasks.write_report(cut).encode()) <= tasks.MAX_REPORT_BYTES
    assert cut.checks[0].name == "z" * 52
