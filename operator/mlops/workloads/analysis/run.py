"""The task of a pod that judges a canary: read what both versions did, decide each criterion, report."""

from __future__ import annotations

from collections.abc import Iterator

from mlops.api.base import parse_time
from mlops.api.canary import Analysis, AnalysisOutcome, CriterionName, CriterionResult
from mlops.api.serving_task import AnalysisReport, AnalysisTask
from mlops.api.task_report import ReportError, write_report
from mlops.statistics.spending import spent_at
from mlops.workloads.analysis.answers import RecordedPlaces, read_answers
from mlops.workloads.analysis.counts import read_counts
from mlops.workloads.analysis.finding import cut, undecided
from mlops.workloads.analysis.measuring import measured
from mlops.workloads.analysis.requests import judge_errors, judge_latency
from mlops.workloads.analysis.rows import judge_distance, judge_metric, seed_of
from mlops.workloads.floor.log import say
from mlops.workloads.floor.pod import Pod
from mlops.workloads.floor.records.layout import captures_prefix, feedback_prefix, shadow_prefix
from mlops.workloads.floor.records.tally import tallies_prefix


def analyse(pod: Pod, task: AnalysisTask) -> AnalysisReport:
    """Compare the candidate with the stable version by each criterion. Raises BadInput and the store's errors."""
    tail = tail_of(task)
    results: list[CriterionResult] = []
    for result in _results(pod, task, tail):
        say(f"{result.name}: {result.outcome}: {result.message}")
        results.append(result)
        if result.outcome == "Failed":
            break
    judged = {result.name for result in results}
    results += [
        undecided(name, f"was not measured: {results[-1].name} had failed")
        for name in _asked(task.analysis)
        if name not in judged
    ]
    return fitting(AnalysisReport(outcome=outcome_of_all(results), criteria=tuple(results)))


def tail_of(task: AnalysisTask) -> float:
    """Return the probability with which each of the two bounds of an interval may miss."""
    return spent_at(float(task.analysis.alpha), task.look) / 2.0


def outcome_of_all(results: list[CriterionResult]) -> AnalysisOutcome:
    """Return Failed if one is, Successful if all are, else Inconclusive."""
    outcomes = {result.outcome for result in results}
    if "Failed" in outcomes:
        return "Failed"
    return "Successful" if outcomes == {"Successful"} else "Inconclusive"


def fitting(report: AnalysisReport) -> AnalysisReport:
    """Shorten messages until the report fits into a termination message: names of classes may be of any letters."""
    for length in (256, 128, 60, 0):
        criteria = tuple(one.evolve(message=cut(one.message, length)) for one in report.criteria)
        report = report.evolve(criteria=criteria)
        try:
            write_report(report)
        except ReportError:
            continue
        return report
    return report


def _results(pod: Pod, task: AnalysisTask, tail: float) -> Iterator[CriterionResult]:
    """Yield the results, those first that cost least."""
    store, analysis, since = pod.store, task.analysis, parse_time(task.since)
    place = (task.namespace, task.model_name, task.stage)
    arms = {"stable": task.stable.artifact, "candidate": task.candidate.artifact}
    if analysis.error_rate or analysis.latency:
        counted = read_counts(store, tallies_prefix(*place), since, **arms)
        if analysis.error_rate:
            yield judge_errors(counted, analysis.error_rate, tail)
        if analysis.latency:
            yield judge_latency(counted, analysis.latency, tail)
    if analysis.metric or analysis.prediction_drift:
        models = measured(store, analysis, **arms)
        where = RecordedPlaces(captures_prefix(*place), shadow_prefix(*place), feedback_prefix(*place))
        answers = read_answers(store, where, models.versions(**arms), since, labelled=analysis.metric is not None)
        if analysis.prediction_drift:
            yield judge_distance(answers, models, analysis.prediction_drift, tail)
        if analysis.metric:
            seed = seed_of(*place, task.candidate.artifact, task.since, task.look)
            yield judge_metric(answers, models, analysis.metric, tail, seed)


def _asked(analysis: Analysis) -> tuple[CriterionName, ...]:
    asked: tuple[tuple[CriterionName, object], ...] = (
        ("errorRate", analysis.error_rate),
        ("latency", analysis.latency),
        ("metric", analysis.metric),
        ("predictionDrift", analysis.prediction_drift),
    )
    return tuple(name for name, criterion in asked if criterion)
