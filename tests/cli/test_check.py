"""`mlops check`: the decision of a drift pod about two files, and what is told of files that do not fit."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result

from bench.drift_streams import make_stream
from mlops.api.drift_monitor import Check, Labels
from mlops.api.drift_monitor import Window as WindowSpec
from mlops.cli.main import cli
from mlops.cli.report_text import written
from mlops.workloads.drift.document import measured
from mlops.workloads.drift.findings import seed_of
from mlops.workloads.drift.verdict import decide

START = datetime(2026, 1, 1, tzinfo=UTC)


def rows(count: int, seed: int, *, moved: float = 0.0, flipped: bool = False, first: int = 0) -> pl.DataFrame:
    """Rows of a relation, an hour apart, with the answers of a model that knows it; the relation may be `flipped`."""
    rng = np.random.default_rng(seed)
    age, size = rng.normal(size=count) + moved, rng.normal(size=count)
    chance = 1 / (1 + np.exp(size - 1.5 * age))
    truth = 1 - chance if flipped else chance
    return pl.DataFrame(
        {
            "id": [f"r{first + i}" for i in range(count)],
            "day": [START + timedelta(hours=first + i) for i in range(count)],
            "age": age,
            "size": size,
            "colour": rng.choice(["red", "green", "blue"], count),
            "y": np.where(rng.random(count) < truth, "yes", "no"),
            "answer": np.where(chance >= 0.5, "yes", "no"),
            "p": chance,
        }
    )


def priced(count: int, seed: int) -> pl.DataFrame:
    """Rows of the relation that has moved, with a price that is not negative."""
    moved = rows(count, seed, flipped=True, first=1500)
    return moved.with_columns((pl.col("size").abs() * 10).round(2).alias("price"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the tests, in several formats."""
    folder = tmp_path_factory.mktemp("files")
    inputs = ["id", "day", "age", "size", "colour"]
    rows(1500, 1).select(inputs).write_csv(folder / "reference.csv")
    rows(600, 2, first=1500).select(inputs).write_parquet(folder / "same.parquet")
    rows(600, 3, moved=0.6, first=1500).select(inputs).write_ndjson(folder / "moved.jsonl")
    rows(1500, 1).write_parquet(folder / "answered.parquet")
    rows(600, 4, flipped=True, first=1500).write_csv(folder / "flipped.csv")
    rows(1500, 1).with_columns((pl.col("size").abs() * 10).round(2).alias("price")).write_parquet(
        folder / "priced.parquet"
    )
    priced(600, 4).write_csv(folder / "priced.csv")
    return folder


def mlops(*words: object) -> Result:
    """The command as a script sees it."""
    return CliRunner().invoke(cli, ["check", *map(str, words)])


def found(*words: object) -> dict[str, Any]:
    done = mlops(*words, "--json", "--exit-zero")
    assert done.exit_code == 0, done.output
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_the_exit_code_says_whether_something_moved(place: Path) -> None:
    """0 stable, 1 moved; --exit-zero is for those who read the verdict."""
    stable = mlops(place / "reference.csv", place / "same.parquet")
    assert (stable.exit_code, stable.stdout.split()[0]) == (0, "Stable")
    moved = mlops(place / "reference.csv", place / "moved.jsonl")
    assert (moved.exit_code, moved.stdout.split()[0]) == (1, "DataDrift")
    assert "\nage " in moved.stdout
    assert mlops(place / "reference.csv", place / "moved.jsonl", "--exit-zero").exit_code == 0


def test_with_answers_and_labels_a_moved_relation_is_concept_drift(place: Path) -> None:
    """And no question about a model is asked without."""
    asked = ("--label", "y", "--prediction", "answer", "--probability", "p")
    document = found(place / "answered.parquet", place / "flipped.csv", *asked)
    assert document["verdict"] == "ConceptDrift"
    assert document["performance"]["metric"] in ("roc_auc", "brier")
    assert [one["type"] for one in document["checks"]] == [
        "DataQuality", "DataDrift", "PredictionDrift", "LabelShift", "PerformanceDrop", "ConceptDrift",
    ]  # fmt: skip
    assert [one["name"] for one in document["features"]] != []
    assert not {"y", "answer", "p", "id", "day"} & {one["name"] for one in document["features"]}
    few = found(place / "answered.parquet", place / "flipped.csv", "--ignore", "answer", "--ignore", "p")
    assert [one["type"] for one in few["checks"]] == ["DataQuality", "DataDrift"]


def test_labels_and_answers_without_probabilities_are_judged_by_accuracy(place: Path) -> None:
    document = found(
        place / "answered.parquet", place / "flipped.csv", "--label", "y", "--prediction", "answer", "--ignore", "p"
    )
    assert (document["verdict"], document["performance"]["metric"]) == ("ConceptDrift", "accuracy")


def test_answers_are_judged_by_what_they_cost(place: Path) -> None:
    """A hand-written sum over the file; a pair that is not named costs nothing, and one costs by a column."""
    words = ("--label", "y", "--prediction", "answer", "--ignore", "p", "--metric", "cost", "--cost", "yes:no=500")
    document = found(place / "priced.parquet", place / "priced.csv", *words, "--cost", "no:yes=2.5*price")
    performance = document["performance"]
    for side, rows_of in (("reference", pl.read_parquet(place / "priced.parquet")), ("current", priced(600, 4))):
        total = 0.0
        for row in rows_of.iter_rows(named=True):
            if row["y"] != row["answer"]:
                total += 500.0 if row["y"] == "yes" else 2.5 * row["price"]
        assert performance[side]["value"] == pytest.approx(total / rows_of.height, rel=1e-9)
    assert (document["verdict"], performance["metric"]) == ("ConceptDrift", "cost")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("--metric", "cost"), "--metric cost: nobody said what answers cost: add --cost", id="none"),
        pytest.param(("--cost", "yes:no=5"), "--cost is for --metric cost: add it", id="no metric"),
        pytest.param(("--metric", "cost", "--cost", "yes=5"), "'yes=5': the form is ACTUAL:PREDICTED=COST", id="form"),
        pytest.param(
            ("--metric", "cost", "--cost", "yes:no=much"), "the cost is no number, such as 500 or -2.5", id="no number"
        ),
        pytest.param(("--metric", "cost", "--cost", "yes:no=1e13"), "count in a larger unit", id="too large"),
        pytest.param(
            ("--metric", "cost", "--cost", "yes:on=5"), "'on' is none of the classes: name one of no, yes", id="class"
        ),
        pytest.param(
            ("--metric", "cost", "--cost", "yes:no=5", "--cost", "yes:no=6"),
            "a pair of classes is named twice",
            id="twice",
        ),
        pytest.param(("--metric", "cost", "--cost", "yes:no=5*prise"), "(did you mean price?)", id="no column"),
        pytest.param(("--metric", "cost", "--cost", "yes:no=5*colour"), "name a column of numbers", id="text"),
        pytest.param(
            ("--metric", "cost", "--cost", "yes:no=5*price", "--ignore", "price"),
            "leave it out of --ignore",
            id="ignored",
        ),
        pytest.param(("--metric", "cost", "--cost", "yes:no=5*my price"), "rename it", id="no name of a column"),
    ],
)
def test_costs_that_are_none_are_told_with_the_way_out(place: Path, words: tuple[str, ...], said: str) -> None:
    done = mlops(place / "priced.parquet", place / "priced.csv", "--label", "y", "--prediction", "answer", *words)
    assert done.exit_code == 2, done.output
    assert said in " ".join(done.output.split())


def test_numbers_have_no_costs_of_classes(place: Path) -> None:
    words = ("--label", "size", "--prediction", "age", "--metric", "cost", "--cost", "1:2=5")
    done = mlops(place / "priced.parquet", place / "priced.csv", *words)
    assert done.exit_code == 2
    assert "costs are those of classes: leave it out, and use --metric mae" in " ".join(done.output.split())


@pytest.mark.parametrize("kind", ["stable", "covariate", "concept"])
def test_it_decides_as_the_pod_does(kind: str, tmp_path: Path) -> None:
    """Of the same rows every check finds the same numbers as the pod's own code: statistics, limits, verdict."""
    stream = make_stream(kind, 5, windows=1, rows=600)
    known = stream.reference.frame.filter(pl.col("part") == "test")
    names = {"out.p.yes": "p", "out.prediction": "answer", "time": "day", "label": "y"}
    shown = [c for c in known.columns if c.startswith("in.")] + list(names)
    reference, current = (
        frame.select(shown).rename({**names, **{c: c.removeprefix("in.") for c in shown if c.startswith("in.")}})
        for frame in (known, stream.windows[0].frame)
    )
    reference.write_parquet(tmp_path / "reference.parquet")
    current.write_parquet(tmp_path / "current.parquet")
    document = found(
        tmp_path / "reference.parquet", tmp_path / "current.parquet",
        "--label", "y", "--prediction", "answer", "--probability", "p", "--time", "day",
    )  # fmt: skip

    from mlops.cli.check.columns import chosen
    from mlops.cli.check.options import CheckOptions
    from mlops.cli.check.sides import sides_of
    from mlops.cli.check.tables import read_file
    from mlops.cli.state import State

    options = CheckOptions(
        str(tmp_path / "reference.parquet"), str(tmp_path / "current.parquet"), State(tmp_path),
        label="y", prediction="answer", probability=("p",), time="day",
    )  # fmt: skip
    before = read_file(options.reference, options)
    after = read_file(options.current, options, before)
    sides = sides_of(before, after, chosen(before, after, options), options)
    ours, pods = sides.window.frame, stream.windows[0].frame
    columns = [c for c in pods.columns if c.startswith(("in.", "out.")) or c in ("label", "time")]
    assert ours.select(columns).sort(columns).equals(pods.select(columns).sort(columns))
    checks = tuple(Check.model_validate({k: v for k, v in one.items() if k in _FIELDS}) for one in document["checks"])
    decision = decide(
        _only_tested(stream.reference, known),
        _as_long(stream.windows[0], sides.window),
        checks,
        limits=WindowSpec(duration="1d", min_samples=100),
        labels=Labels(),
        seed=seed_of("mlops check"),
    )
    pod = json.loads(json.dumps(measured(stream.reference, stream.windows[0], decision)["checks"]))
    assert _rounded(pod) == _rounded(document["checks"])
    assert document["verdict"] == decision.verdict


_FIELDS = ("name", "type", "alpha", "correction", "minEffectSize", "metric", "minDrop")


def _only_tested(reference: Any, known: pl.DataFrame) -> Any:
    from dataclasses import replace

    from mlops.workloads.drift.reference import canonical

    return replace(reference, frame=canonical(known, classifies=True), required=frozenset())


def _as_long(window: Any, other: Any) -> Any:
    """The pod's window with the length that the files' times show, which is all that a file says."""
    from dataclasses import replace

    return replace(window, span=other.span)


def _rounded(checks: list[dict[str, Any]]) -> list[Any]:
    """Numbers of which the order of equal times, which is a draw, moves no digit that matters."""
    return [(one["type"], one["result"], one["message"]) for one in checks]


def test_columns_that_differ_are_told_with_the_way_out(place: Path, tmp_path: Path) -> None:
    """One that is lacking is a broken delivery, one more is named, none in common is a mistake."""
    rows(600, 5).select("age", "colour", pl.lit(1.0).alias("more")).write_csv(tmp_path / "other.csv")
    document = found(place / "reference.csv", tmp_path / "other.csv")
    assert document["verdict"] == "DataQuality"
    assert "lacks the input size" in document["sentence"]
    assert document["notCompared"]["more"] == f"only {tmp_path / 'other.csv'} has it"
    without = found(place / "reference.csv", tmp_path / "other.csv", "--ignore", "size")
    assert (without["verdict"], without["notCompared"]["size"]) == ("Stable", "--ignore")
    pl.DataFrame({"a": [1.5, 2.5], "b": [1.0, 2.0]}).write_csv(tmp_path / "none.csv")
    done = mlops(place / "reference.csv", tmp_path / "none.csv")
    assert done.exit_code == 2
    assert "has none of the columns of" in done.output
    assert "it has a, b" in done.output


def test_a_value_that_is_none_of_the_type_counts_as_missing_and_is_told(place: Path, tmp_path: Path) -> None:
    """The types are those of the reference: a word among numbers makes no text of the column."""
    frame = rows(600, 6).with_columns(pl.col("age").cast(pl.String))
    broken = frame.with_columns(pl.when(pl.int_range(600) < 60).then(pl.lit("oops")).otherwise("age").alias("age"))
    broken.select("age", "size", "colour").write_csv(tmp_path / "broken.csv")
    document = found(place / "reference.csv", tmp_path / "broken.csv")
    assert document["verdict"] == "DataQuality"
    assert any('60 values of "age" are no float64' in note for note in document["notes"])
    frame.with_columns(pl.lit(True).alias("size")).select("age", "size").write_parquet(tmp_path / "types.parquet")
    done = mlops(place / "reference.csv", tmp_path / "types.parquet")
    assert done.exit_code == 2
    assert 'column "size" is float64 in' in done.output
    assert "--ignore size" in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("--label", "z"), "--label 'z': ", id="no such label"),
        pytest.param(("--label", "sise"), "did you mean size?", id="nearly"),
        pytest.param(("--time", "age"), "its values are read as float64: name a column of timestamps", id="no time"),
        pytest.param(("--ignore", "nothing"), "--ignore 'nothing'", id="nothing to ignore"),
        pytest.param(("--alpha", "0.7"), "alpha must be greater than 0 and at most 0.5", id="alpha"),
        pytest.param(("--min-samples", "1"), "--min-samples 1", id="min samples"),
        pytest.param(("--probability", "age"), "--probability needs --label or --prediction", id="probability"),
        pytest.param(("--metric", "mae"), "need --label or --prediction", id="metric"),
        pytest.param(("--label", "colour", "--metric", "mae"), "mae: does not fit classes", id="metric of classes"),
        pytest.param(("--label", "colour", "--positive", "pink"), "the classes are blue, green, red", id="positive"),
        pytest.param(("--label", "colour", "--task", "regression"), "a regression's are numbers", id="task"),
        pytest.param(("--label", "age", "--prediction", "age"), "named for two things", id="twice"),
        pytest.param(
            ("--label", "colour", "--probability", "age"), "there are 3 classes (blue, green, red)", id="classes"
        ),
    ],
)
def test_a_mistake_is_told_in_a_sentence(place: Path, words: tuple[str, ...], said: str) -> None:
    done = mlops(place / "reference.csv", place / "same.parquet", *words)
    assert done.exit_code == 2, done.output
    assert said in " ".join(done.output.split())


def test_a_file_that_is_not_there_and_one_without_a_row_are_mistakes(place: Path, tmp_path: Path) -> None:
    assert "there is no such file" in mlops(place / "reference.csv", tmp_path / "no.csv").output
    (tmp_path / "empty.csv").write_text("age,size,colour\n")
    done = mlops(place / "reference.csv", tmp_path / "empty.csv")
    assert done.exit_code == 2
    assert "there is no row" in done.output


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("change", "verdict", "said"),
    [
        pytest.param(pl.lit(None, pl.Float64).alias("age"), "DataQuality", "age is missing in 100%", id="all missing"),
        pytest.param(pl.lit(1.5).alias("age"), "DataQuality", "age is 1.5 in every row", id="constant"),
        pytest.param(pl.lit("pink").alias("colour"), "DataQuality", "colour has unseen categories", id="categories"),
        pytest.param(pl.lit(7).alias("colour"), "DataQuality", "colour has unseen categories", id="codes"),
        pytest.param(pl.lit(2).alias("one"), "DataQuality", "one is 2 in every row", id="another constant"),
        pytest.param(
            pl.when(pl.int_range(pl.len()) < 90).then(1e308).otherwise("age").alias("age"),
            "DataQuality", "age is far outside its range", id="huge",
        ),
    ],
)  # fmt: skip
def test_extreme_columns_are_named_and_never_an_exception(
    tmp_path: Path, ending: str, change: pl.Expr, verdict: str, said: str
) -> None:
    known = rows(500, 10).select("age", "size", "colour", pl.lit(1).alias("one"))
    known.write_csv(tmp_path / "reference.csv")
    frame = rows(300, 11).select("age", "size", "colour", pl.lit(1).alias("one")).with_columns(change)
    place = tmp_path / f"current.{ending}"
    frame.write_csv(place) if ending == "csv" else frame.write_parquet(place)
    done = mlops(tmp_path / "reference.csv", place)
    text = " ".join(done.stdout.split())
    assert done.exit_code == 1, done.output
    assert text.startswith(verdict)
    assert said in text


def test_too_few_rows_cannot_be_told_and_are_not_stable(place: Path, tmp_path: Path) -> None:
    rows(40, 7).select("age", "size", "colour").write_csv(tmp_path / "few.csv")
    done = mlops(place / "reference.csv", tmp_path / "few.csv")
    assert (done.exit_code, done.stdout.split()[0]) == (1, "Inconclusive")
    assert "lower --min-samples" in " ".join(done.stdout.split())


def test_of_many_rows_the_same_sample_is_drawn_whatever_the_order_of_blocks(place: Path) -> None:
    document = found(place / "reference.csv", place / "same.parquet", "--max-samples", "300")
    assert document["counts"]["samples"] == 300
    assert document["counts"]["rows"] == 600
    assert any("300 of 600 rows were drawn" in note for note in document["notes"])
    assert document == found(place / "reference.csv", place / "same.parquet", "--max-samples", "300")


def test_what_counts_or_names_rows_is_not_compared(place: Path, tmp_path: Path) -> None:
    for name, first in (("one", 0), ("two", 500)):
        frame = rows(500, 8 + first).select("age", pl.int_range(first, first + 500).alias("nr"), "id")
        frame.write_parquet(tmp_path / f"{name}.parquet")
    left_out = found(tmp_path / "one.parquet", tmp_path / "two.parquet")["notCompared"]
    assert left_out == {"nr": "it counts the rows", "id": "500 different texts in 500 rows"}
    keyed = found(tmp_path / "one.parquet", tmp_path / "two.parquet", "--key", "id")["notCompared"]
    assert keyed["id"] == "a key"


def test_the_page_stands_alone_and_the_text_fits_a_narrow_terminal(place: Path, tmp_path: Path) -> None:
    """One file with a policy and no script; lines of at most 60 columns, the verdict first."""
    page = tmp_path / "drift.html"
    document = found(place / "reference.csv", place / "moved.jsonl", "--html", page)
    text = page.read_text()
    assert "default-src &#x27;none&#x27;" in text
    assert text.count("<script") == 1
    assert "by <code>mlops check</code>" in text
    lines = written(document, colour=False, width=60).splitlines()
    assert lines[0].startswith("DataDrift")
    assert max(map(len, lines[1:])) <= 60


def test_names_from_data_do_not_steer_a_terminal(tmp_path: Path) -> None:
    for name, moved in (("one", 0.0), ("two", 3.0)):
        rows(300, 9, moved=moved).select(pl.col("age").alias("a\x1b[31mge")).write_parquet(tmp_path / f"{name}.parquet")
    document = found(tmp_path / "one.parquet", tmp_path / "two.parquet")
    assert document["verdict"] == "DataDrift"
    assert "\x1b" not in written(document, colour=False, width=80)
    assert "a\\x1b[31mge" in written(document, colour=False, width=80)
