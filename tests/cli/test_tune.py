"""`mlops tune`: window, schedule and limits for wanted false alarms and delay, of histories with known truth."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from mlops.api.base import parse_duration
from mlops.api.drift_monitor import Check, Labels, Window
from mlops.api.kinds import parse
from mlops.cli.errors import UserError
from mlops.cli.state import State
from mlops.cli.tune.choices import SCHEDULES, CheckLimits, lengths, limits_of, schedules
from mlops.cli.tune.command import TuneOptions, tune
from mlops.cli.tune.drawing import Drawing, InputShift, recorded_windows
from mlops.cli.tune.proposal import monitor_with, proposed
from mlops.cli.tune.quiet import QuietHistory, quiet_history
from mlops.cli.tune.trials import Trial, short
from mlops.cli.tune.wishes import Wishes, wishes_of
from mlops.store import open_store
from mlops.workloads.drift.verdict import answers
from mlops.workloads.floor.records.layout import captures_prefix, feedback_prefix

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
PREFIX = ("shop", "churn", "production")
MODEL = {
    "formatVersion": 1,
    "task": "classification",
    "format": "onnx",
    "inputs": [{"name": name, "type": "float64", "nullable": False} for name in ("x", "hour")],
    "columns": [{"name": name, "type": "float64"} for name in ("x", "hour")],
    "label": {"name": "bought", "type": "string"},
    "classes": ["no", "yes"],
    "positive": "yes",
    "estimator": {"name": "LogisticRegression"},
    "tolerance": "0.0001",
}
MONITOR: dict[str, Any] = {
    "apiVersion": "mlops.dev/v1alpha1",
    "kind": "DriftMonitor",
    "metadata": {"name": "churn", "namespace": "shop"},
    "spec": {
        "targetRef": {"modelName": "churn"},
        "schedule": "0 0 * * *",
        "window": {"duration": "8d", "minSamples": 150},
        "checks": [
            {"name": "inputs", "type": "DataDrift"},
            {"name": "delivery", "type": "DataQuality"},
        ],
        "actions": [{"when": ["DataQuality"], "do": "Hold"}],
    },
}


def rows_of(days: int, seed: int, *, begin: datetime = BEGIN, every: timedelta = timedelta(minutes=30)) -> pl.DataFrame:
    """Rows at fixed steps: an input that is noise, one that is the hour, and a label that follows the first."""
    random = np.random.default_rng(seed)
    count = int(days * DAY / every)
    times = [begin + every * (number + 1) for number in range(count)]
    x = random.normal(size=count)
    p = 1 / (1 + np.exp(-2 * x))
    return pl.DataFrame(
        {
            "id": [f"s{seed}-{number}" for number in range(count)],
            "row": [0] * count,
            "time": times,
            "in.x": x,
            "in.hour": [float(time.hour) for time in times],
            "out.p.no": 1 - p,
            "out.p.yes": p,
            "out.prediction": np.where(p > 0.5, "yes", "no").tolist(),
            "label": np.where(random.random(count) < p, "yes", "no").tolist(),
        }
    ).with_columns(pl.col("time").cast(pl.Datetime("us", "UTC")))


def a_state(folder: Path, history: pl.DataFrame) -> State:
    """Return a state folder with a model, its reference of forty days, and captured requests with their labels."""
    state = State(folder)
    reference = rows_of(40, 1, begin=BEGIN - 40 * DAY)
    held_out = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("train")).otherwise(pl.lit("test")).alias("part")
    store = open_store(f"file://{state.store}", {})
    files = {"model.json": json.dumps(MODEL).encode(), "reference.parquet": _parquet(reference.with_columns(held_out))}
    model = store.put_files(files).digest
    recorded = history.drop("label").with_columns(
        pl.col("time").alias("arrived"),
        pl.lit(1, pl.Int64).alias("modelVersion"),
        pl.lit(model).alias("modelDigest"),
        pl.lit("production").alias("stage"),
    )
    labels = history.select("id", "row", "time", pl.col("time").alias("received"), "label")
    for prefix, frame in ((captures_prefix(*PREFIX), recorded), (feedback_prefix(*PREFIX), labels)):
        parts = frame.with_columns(pl.col("time").dt.strftime("date=%Y-%m-%d").alias("_part"))
        for (part,), rows in parts.partition_by("_part", as_dict=True, include_key=False).items():
            path = state.store / "objects" / f"{prefix}{part}/a.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_parquet(rows))
    return state


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> State:
    """Thirty-two days in which nothing happens."""
    return a_state(tmp_path_factory.mktemp("quiet"), rows_of(32, 2))


def asked(state: State, folder: Path, spec: dict[str, Any] | None = None, **options: Any) -> TuneOptions:
    """Return options that are quick, and a file with the monitor."""
    path = folder / "monitor.json"
    path.write_text(json.dumps({**MONITOR, "spec": {**MONITOR["spec"], **(spec or {})}}))
    return TuneOptions(paths=(str(path),), state=state, **{"resamples": 6, "changes": 4, "output": "json", **options})


def tuned(capsys: pytest.CaptureFixture[str], options: TuneOptions) -> tuple[int, dict[str, Any]]:
    """Return the exit code and the document."""
    code = tune(options)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, found


def history_of(state: State, **said: str | None) -> QuietHistory:
    """Return the history of the default monitor."""
    monitor = parse(MONITOR)
    return quiet_history(state, monitor, said.get("since"), said.get("until"))  # type: ignore[arg-type]


# --- the whole ---


def test_of_a_quiet_history_it_proposes_a_monitor_that_works_as_it_is(
    quiet: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No drawn window alarms, and a large change is found within a window."""
    code, found = tuned(capsys, asked(quiet, tmp_path, size=2.0, false_alarms="1/month"))
    assert (code, found["unmet"]) == (0, [])
    assert (found["rows"], found["labelled"]) == (1536, 1536)
    assert {trial["window"] for trial in found["trials"]} == {"4d", "8d"}, "2d have too few rows, 16d are not four"
    assert {trial["alarms"] for trial in found["trials"]} == {0}
    assert {trial["found"] for trial in found["trials"]} == {4}
    [best] = [trial for trial in found["trials"] if trial["proposed"]]
    assert best["delaySeconds"] == min(trial["delaySeconds"] for trial in found["trials"])
    assert 0 < best["delaySeconds"] <= parse_duration(best["window"]).total_seconds()
    monitor = parse(found["monitor"])
    assert monitor.spec.schedule == best["schedule"]  # type: ignore[attr-defined]
    assert monitor.spec.window.duration == best["window"]  # type: ignore[attr-defined]
    assert monitor.spec.window.min_samples == 150  # type: ignore[attr-defined]


def test_a_history_that_is_not_quiet_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half-way the input has moved: every window after it alarms, and nothing keeps quiet; until then all is well."""
    history = rows_of(32, 3)
    moved = pl.when(pl.int_range(pl.len()) >= 768).then(pl.col("in.x") + 3).otherwise("in.x").alias("in.x")
    state = a_state(tmp_path / "state", history.with_columns(moved))
    code, found = tuned(capsys, asked(state, tmp_path, size=2.0))
    assert code == 1
    assert "leave it out by --since and --until" in found["unmet"][0]
    assert all(trial["recordedAlarms"] >= trial["recorded"] // 2 for trial in found["trials"])
    until = (BEGIN + 16 * DAY).strftime("%Y-%m-%d")
    code, found = tuned(capsys, asked(state, tmp_path, size=2.0, until=until))
    assert (code, found["rows"]) == (0, 768)


def test_the_table_and_the_monitor_are_for_people_and_for_kubectl(
    quiet: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The text ends in the monitor; with -o yaml there is nothing else."""
    tune(asked(quiet, tmp_path, size=2.0, output="text"))
    text = capsys.readouterr().out
    assert "churn (production): 1,536 rows from 2026-01-01 to 2026-02-02, 1,536 with labels, taken for quiet" in text
    assert "FALSE ALARMS A YEAR" in text
    tune(asked(quiet, tmp_path, size=2.0, output="yaml"))
    written = capsys.readouterr().out
    assert text.endswith(written)
    assert parse(yaml.safe_load(written)).metadata.name == "churn"


@pytest.mark.parametrize(
    ("options", "spec", "said"),
    [
        pytest.param({"false_alarms": "often"}, {}, "--false-alarms 'often': say a number", id="rate"),
        pytest.param({"false_alarms": "0/year"}, {}, "--false-alarms '0/year': say a number", id="none"),
        pytest.param({"delay": "soon"}, {}, "--delay 'soon': say a length", id="delay"),
        pytest.param({"delay": "0d"}, {}, "--delay '0d': say a length", id="no delay"),
        pytest.param({"since": "soon"}, {}, "--since 'soon': say a length", id="since"),
        pytest.param({"until": "later"}, {}, "--until 'later': say a time", id="until"),
        pytest.param({"until": "2020-01-01"}, {}, "no request of churn in stage production", id="nothing then"),
        pytest.param({"since": "3d"}, {}, "history is too short: 144 rows in 3d hold no 4 windows", id="short"),
        pytest.param({}, {"targetRef": {"modelName": "other"}}, "no request of other", id="another model"),
        pytest.param({}, {"reference": {"seasonal": {"offset": "365d"}}}, "Take spec.reference out", id="season"),
        pytest.param({}, {"checks": [{"name": "a", "type": "PerformanceDrop", "metric": "mae"}]}, "mae", id="metric"),
    ],
)
def test_a_mistake_is_told_with_its_way_out(
    quiet: State, tmp_path: Path, options: dict[str, Any], spec: dict[str, Any], said: str
) -> None:
    """Before anything is drawn."""
    with pytest.raises(UserError, match=said.replace("(", r"\(")):
        tune(asked(quiet, tmp_path, spec, **options))


# --- what is drawn ---


def test_drawn_windows_are_stretches_of_history_that_keep_their_time_of_day(quiet: State) -> None:
    """Each row is one of the history's, an hour is at its hour, and the seed decides."""
    drawing = Drawing(history_of(quiet), seed=5)
    window = drawing.window(8 * DAY)
    assert window.frame["time"].min() > window.span.start
    assert window.frame["time"].max() <= window.span.end
    assert 380 <= window.frame.height <= 385, "48 rows a day"
    assert (window.frame["time"].dt.hour().cast(pl.Float64) == window.frame["in.hour"]).all()
    assert set(window.frame["in.x"]) <= set(drawing.history.frame["in.x"])
    assert window.frame["id"].n_unique() == window.frame["in.x"].n_unique() == window.frame.height, (
        "no row is there twice"
    )
    assert Drawing(history_of(quiet), seed=5).window(8 * DAY).frame.equals(window.frame)
    assert not Drawing(history_of(quiet), seed=6).window(8 * DAY).frame.equals(window.frame)


def test_a_change_moves_one_input_from_its_time_on(quiet: State) -> None:
    """By standard deviations of the reference, and nothing else."""
    history = history_of(quiet)
    since = history.end - 2 * DAY
    changed = Drawing(history, seed=5).changed(history.frame, InputShift("x", 2.0), since)
    spread = float(history.reference.frame["in.x"].std())  # type: ignore[arg-type]
    moved = (changed["in.x"] - history.frame["in.x"]).to_numpy()
    assert np.allclose(moved, np.where((history.frame["time"] > since).to_numpy(), 2.0 * spread, 0.0))
    assert changed.drop("in.x").equals(history.frame.drop("in.x"))


def test_recorded_windows_follow_each_other_up_to_the_end(quiet: State) -> None:
    """Whole ones only."""
    history = history_of(quiet)
    windows = recorded_windows(history, 7 * DAY, 100)
    assert len(windows) == 4
    assert [each.span for each in recorded_windows(history, 7 * DAY, 2)] == [each.span for each in windows[-2:]]
    assert windows[-1].span.end == history.end
    assert all(later.span.start == earlier.span.end for earlier, later in pairwise(windows))


def test_a_history_that_is_asked_the_same_each_week_alarms_here_as_it_will_in_a_check(tmp_path: Path) -> None:
    """The reference does not show it: DataQuality takes the rows of each window for those of the one before."""
    week = rows_of(7, 2)
    weeks = pl.concat(
        week.with_columns(pl.col("time") + 7 * number * DAY, pl.format(f"w{number}-{{}}", "id").alias("id"))
        for number in range(4)
    )
    history = history_of(a_state(tmp_path, weeks))
    quality, window = Check(name="delivery", type="DataQuality"), Window(duration="7d", min_samples=150)

    found = [
        answers(history.reference, each, (quality,), limits=window, labels=Labels(), seed=0)[0].findings[0]
        for each in recorded_windows(history, 7 * DAY, 100)
    ]

    assert [each.result for each in found] == ["NotDetected", *["Detected"] * 3]
    assert "100% of the rows are rows of the window before" in found[1].message


# --- what is tried ---


def test_lengths_are_about_what_was_asked_for_and_fit_into_history() -> None:
    """Each has enough rows, and at least four of it are there."""
    assert lengths(8 * DAY, 32 * DAY, 3200, 100) == (2 * DAY, 4 * DAY, 8 * DAY)
    assert lengths(8 * DAY, 32 * DAY, 3200, 201) == (4 * DAY, 8 * DAY)
    assert lengths(8 * DAY, 7 * DAY, 700, 100) == ()
    assert lengths(timedelta(hours=6), 2 * DAY, 900, 20)[0] == timedelta(minutes=90)


def test_every_schedule_is_a_cron_line_that_is_due_as_often_as_it_says() -> None:
    """Of a length there are once in it, and four times."""
    for _, line in SCHEDULES:
        parse({**MONITOR, "spec": {**MONITOR["spec"], "schedule": line}})
    assert [line for _, line in schedules(8 * DAY)] == ["0 0 * * 0", "0 0 * * *"]
    assert [line for _, line in schedules(4 * DAY)] == ["0 0 * * *"], "once a week would leave rows out"
    assert [line for _, line in schedules(timedelta(days=365))] == ["0 0 1 1 *", "0 0 1 */3 *"]
    assert [line for _, line in schedules(timedelta(minutes=1))] == ["*/5 * * * *"]


def test_limits_become_stricter_and_stay_limits() -> None:
    """A tenth of the level, then twice the least change; a least drop that depends on the metric stays."""
    checks = (Check(name="a", type="DataDrift"), Check(name="b", type="PerformanceDrop", min_drop="0.02"))
    written, strict, larger = limits_of(checks)
    assert written.checks == checks
    assert [(each.alpha, each.min_effect_size, each.min_drop) for each in strict.checks] == [
        ("0.001", "0.1", None),
        ("0.001", "0.1", "0.02"),
    ]
    assert [(each.alpha, each.min_effect_size, each.min_drop) for each in larger.checks] == [
        ("0.001", "0.2", None),
        ("0.001", "0.2", "0.04"),
    ]
    least = Check(name="a", type="DataDrift", alpha="0.000000000001")
    assert limits_of([least])[1].checks[0].alpha == "0.000000000001"


# --- what is proposed ---


def a_trial(**changes: Any) -> Trial:
    """Return a trial of weekly checks without any alarm that finds half of ten changes within three days."""
    checks = (Check(name="inputs", type="DataDrift"), Check(name="worse", type="PerformanceDrop", metric="accuracy"))
    values: dict[str, Any] = {
        "length": 7 * DAY,
        "interval": 7 * DAY,
        "schedule": "0 0 * * 0",
        "limits": CheckLimits("as written", checks, changed=False),
        "alarms": 0,
        "drawn": 100,
        "recorded_alarms": 0,
        "recorded": 10,
        "delays": (DAY, 2 * DAY, 3 * DAY, 3 * DAY, 3 * DAY),
        "changes": 10,
    }
    return Trial(**{**values, **changes})


def test_false_alarms_and_delay_are_what_was_counted() -> None:
    """Two of a hundred weekly checks; half of ten changes."""
    trial = a_trial(alarms=2)
    assert trial.false_alarms == pytest.approx(0.02 * 365 / 7)
    assert trial.between[0] < trial.false_alarms < trial.between[1]
    assert trial.delay == 3 * DAY
    assert a_trial(delays=(DAY,) * 4).delay is None


def test_the_soonest_of_the_quiet_ones_is_proposed() -> None:
    """Of equally soon ones that with fewer checks; a history that contradicts what is drawn counts."""
    wishes = Wishes(1.5, None)
    slow, soon, loud = a_trial(), a_trial(delays=(DAY,) * 9), a_trial(alarms=9, delays=(timedelta(hours=1),) * 10)
    assert proposed([slow, soon, loud], wishes).trial is soon
    often = a_trial(delays=(DAY,) * 9, interval=DAY)
    assert proposed([often, soon], wishes).trial is soon
    assert proposed([a_trial(recorded_alarms=3, delays=(DAY,) * 9), slow], wishes).trial is slow
    assert proposed([soon], wishes).unmet == ()


def test_what_is_wanted_and_not_to_be_had_is_told() -> None:
    """Too many false alarms, too late, or not found at all."""
    [said] = proposed([a_trial(alarms=9), a_trial(alarms=5)], Wishes(1.0, None)).unmet
    assert "nothing that was tried has at most 1 false alarms a year" in said
    [said] = proposed([a_trial()], Wishes(1.0, 2 * DAY)).unmet
    assert said == "half of the changes are found within 3d, not 2d: raise --delay or --size"
    [said] = proposed([a_trial(delays=())], Wishes(1.0, None)).unmet
    assert said.startswith("fewer than half of the changes were found")


def test_rates_are_read_by_the_year() -> None:
    """Of a day, a week, a month."""
    assert wishes_of("2/week", "1d12h") == Wishes(pytest.approx(2 * 365 / 7), timedelta(hours=36))
    assert wishes_of("0.5/month", None).false_alarms == pytest.approx(6)
    assert wishes_of("1/day", None).false_alarms == pytest.approx(365)


def test_the_monitor_keeps_what_was_not_tuned() -> None:
    """Checks that stay as written keep their text; stricter ones get what was made stricter."""
    monitor = {**MONITOR, "metadata": {**MONITOR["metadata"], "uid": "u"}}
    same = monitor_with(monitor, a_trial())
    assert same["metadata"] == MONITOR["metadata"]
    assert same["spec"]["checks"] == MONITOR["spec"]["checks"]
    assert (same["spec"]["schedule"], same["spec"]["window"]) == ("0 0 * * 0", {"duration": "7d", "minSamples": 150})
    assert same["spec"]["actions"] == MONITOR["spec"]["actions"]
    strict = limits_of(a_trial().limits.checks)[1]
    assert monitor_with(monitor, a_trial(limits=strict))["spec"]["checks"][0]["alpha"] == "0.001"


def test_lengths_read_as_a_manifest_says_them() -> None:
    """Days from two on, hours, minutes."""
    assert [short(each) for each in (DAY, 36 * DAY / 24, 2 * DAY, timedelta(minutes=90))] == ["1d", "36h", "2d", "90m"]
