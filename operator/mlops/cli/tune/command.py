"""`mlops tune`: try windows, schedules and limits on quiet history, and propose the best of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mlops.api.base import format_time, parse_duration
from mlops.api.drift_monitor import DriftMonitor
from mlops.api.kinds import parse
from mlops.cli.errors import UserError
from mlops.cli.simulate.command import monitor_in
from mlops.cli.simulate.limits import refuse_undated
from mlops.cli.state import State
from mlops.cli.tables import aligned
from mlops.cli.terminal import show
from mlops.cli.tune.choices import FEWEST_WINDOWS, lengths, limits_of
from mlops.cli.tune.drawing import Drawing
from mlops.cli.tune.proposal import Proposal, monitor_with, proposed
from mlops.cli.tune.quiet import QuietHistory, quiet_history
from mlops.cli.tune.trials import Effort, Trial, Tried, short
from mlops.cli.tune.wishes import wishes_of
from mlops.cli.yaml_written import written
from mlops.workloads.floor.pod import BadInput

_FORMAT = "mlops.dev/tuning/v1"


@dataclass(frozen=True)
class TuneOptions:
    """The options of `mlops tune`."""

    paths: tuple[str, ...]
    state: State
    since: str | None = None
    until: str | None = None
    false_alarms: str = "1/year"
    delay: str | None = None
    size: float = 0.5
    resamples: int = 100
    changes: int = 20
    seed: int = 0
    output: str = "text"


def tune(options: TuneOptions) -> int:
    """Try, print, and return the exit code. Raises UserError."""
    wishes = wishes_of(options.false_alarms, options.delay)
    monitor = monitor_in(options.paths)
    parsed = parse(monitor)
    assert isinstance(parsed, DriftMonitor)
    refuse_undated(parsed.spec)
    history = quiet_history(options.state, parsed, options.since, options.until)
    if not history.reference.numeric:
        raise UserError("the model has no input that is a number, and --size moves one: there is nothing to tune by")
    effort = Effort(options.resamples, options.changes, options.size)
    tried = Tried(parsed.spec, Drawing(history, options.seed), limits_of(parsed.spec.checks), effort)
    try:
        trials = [trial for length in _lengths(parsed, history) for trial in tried.of(length)]
    except BadInput as error:
        raise UserError(error.message) from error
    found = proposed(trials, wishes)
    if options.output == "json":
        show(json.dumps(_document(parsed, history, trials, found, monitor_with(monitor, found.trial)), indent=1))
    elif options.output == "yaml":
        show(written(monitor_with(monitor, found.trial)))
    else:
        for line in _lines(parsed, history, trials, found, options):
            show(line)
        show("")
        show(written(monitor_with(monitor, found.trial)))
    return 1 if found.unmet else 0


def _lengths(monitor: DriftMonitor, history: QuietHistory) -> tuple[timedelta, ...]:
    """Return the lengths of a window that are tried. Raises UserError if history is too short for any."""
    window, rows = monitor.spec.window, history.frame.height
    if window.duration is not None:
        asked = parse_duration(window.duration)
    else:
        asked = history.length * (float(window.rows or 0) / rows)
    found = lengths(asked, history.length, rows, window.min_samples)
    if not found:
        raise UserError(
            f"history is too short: {rows:,} rows in {short(history.length)} hold no {FEWEST_WINDOWS} windows of "
            f"{short(asked / 4)} or more with spec.window.minSamples ({window.min_samples}) rows each. Record more, "
            "begin earlier by --since, or name a shorter window or a smaller minSamples in the file in -f"
        )
    return found


def _lines(
    monitor: DriftMonitor, history: QuietHistory, trials: Sequence[Trial], found: Proposal, options: TuneOptions
) -> Iterator[str]:
    target = monitor.spec.target_ref
    yield (
        f"{target.model_name} ({target.stage}): {history.frame.height:,} rows from {history.start:%Y-%m-%d} to "
        f"{history.end:%Y-%m-%d}, {history.labelled:,} with labels, taken for quiet"
    )
    yield ""
    head = ["", "WINDOW", "CHECKED EVERY", "LIMITS", "FALSE ALARMS A YEAR", "RECORDED", "FOUND", "DELAY"]
    yield aligned([head, *(_row(each, each is found.trial) for each in trials)])
    yield ""
    yield f"* is proposed. RECORDED: alarms of the history's own windows. FOUND: changes of {options.size:g} sd, and"
    yield "DELAY: within what time half of them were."
    yield from found.unmet


def _row(trial: Trial, is_proposed: bool) -> list[str]:
    low, high = trial.between
    return [
        "*" if is_proposed else " ",
        short(trial.length),
        short(trial.interval),
        trial.limits.name,
        f"{trial.false_alarms:.3g} ({low:.3g} to {high:.3g})",
        f"{trial.recorded_alarms} of {trial.recorded}",
        f"{len(trial.delays)} of {trial.changes}",
        "-" if trial.delay is None else short(trial.delay),
    ]


def _document(
    monitor: DriftMonitor, history: QuietHistory, trials: Sequence[Trial], found: Proposal, manifest: dict[str, Any]
) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "model": monitor.spec.target_ref.model_name,
        "stage": monitor.spec.target_ref.stage,
        "since": format_time(history.start),
        "until": format_time(history.end),
        "rows": history.frame.height,
        "labelled": history.labelled,
        "trials": [_of_trial(each, each is found.trial) for each in trials],
        "unmet": list(found.unmet),
        "monitor": manifest,
    }


def _of_trial(trial: Trial, is_proposed: bool) -> dict[str, Any]:
    low, high = trial.between
    return {
        "proposed": is_proposed,
        "window": short(trial.length),
        "intervalSeconds": round(trial.interval.total_seconds()),
        "schedule": trial.schedule,
        "limits": trial.limits.name,
        "alarms": trial.alarms,
        "drawn": trial.drawn,
        "falseAlarmsPerYear": trial.false_alarms,
        "falseAlarmsPerYearLow": low,
        "falseAlarmsPerYearHigh": high,
        "recordedAlarms": trial.recorded_alarms,
        "recorded": trial.recorded,
        "found": len(trial.delays),
        "changes": trial.changes,
        "delaySeconds": None if trial.delay is None else round(trial.delay.total_seconds()),
    }
