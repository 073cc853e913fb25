"""The task of a drift pod: read reference, captures and labels, decide, write the report."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

from mlops.api.base import earlier, format_time, parse_duration, parse_time
from mlops.api.drift_monitor import Attribution, CheckResult, FeatureShift, MetricReading, SegmentResult
from mlops.api.drift_reference import ReferenceSource
from mlops.api.drift_task import DriftReport, DriftTask
from mlops.api.job_names import check_name
from mlops.api.label_sources import LabelSourceResult
from mlops.api.reasons import Reason
from mlops.api.task_report import ReportError, write_report
from mlops.workloads.drift.document import document, to_bytes
from mlops.workloads.drift.findings import Decision, seed_of
from mlops.workloads.drift.following import beside, calibration_of, told
from mlops.workloads.drift.label_sources import LabelPlaces, SourceLabels
from mlops.workloads.drift.labelling import FILE, record, request_of
from mlops.workloads.drift.older import older_versions
from mlops.workloads.drift.page import page
from mlops.workloads.drift.reference import Reference, load_reference
from mlops.workloads.drift.references import MAX_ROWS, of_dataset, of_training, of_window, span_of_reference
from mlops.workloads.drift.repeats import compared_inputs, load_earlier
from mlops.workloads.drift.verdict import decide
from mlops.workloads.drift.window import JudgedSpan, Window, load_window, with_cohort
from mlops.workloads.floor.dataset_version import fetch_dataset
from mlops.workloads.floor.model.described import signature_at
from mlops.workloads.floor.model.mappable import obstacle_of
from mlops.workloads.floor.pod import BadInput, Pod
from mlops.workloads.floor.records.layout import KEY, captures_prefix, feedback_prefix
from mlops.workloads.floor.records.newest import newest_span
from mlops.workloads.floor.records.reading import Span

_TOP_FEATURES = 20
_LARGEST = 1e99


def check(pod: Pod, task: DriftTask) -> DriftReport:
    """Check the window that ends at the task's time, or that of the Job, and store report.json and report.html.

    Raises BadInput and the store's errors.
    """
    store = pod.store
    sources = _sources(pod, task)
    span = _span(pod, task, sources)
    trained = load_reference(store, task.artifact)
    window = _checked(pod, task, trained, span, sources)
    reference, compared = _reference(pod, task, trained, window, sources)
    window = _beside_earlier(pod, task, reference, window)
    seed = seed_of(task.namespace, task.monitor, task.artifact, format_time(span.end))
    decision = decide(reference, window, task.checks, limits=task.window, labels=task.labels, seed=seed)
    if decision.calibration is not None:
        # Whether the model takes a map is written in its description, not in rows.
        obstacle = obstacle_of(signature_at(store, task.artifact))
        decision = replace(decision, calibration=replace(decision.calibration, obstacle=obstacle))
    older = older_versions(store, pod.scratch, task, reference, window, decision, seed)
    asked = request_of(store, task, window, decision, seed)
    found = document(task, reference, window, decision, [_result(each, window) for each in window.sources]) | beside(
        older, asked
    )
    found["reference"] |= compared.dump()
    files = {"report.json": to_bytes(found), "report.html": page(found).encode()}
    digest = store.put_files(files | ({FILE: asked.lines()} if asked else {})).digest
    if asked:
        record(store, asked)
    report = report_of(window, decision, digest).evolve(reference=compared)
    found_shift = calibration_of(decision.calibration, task.artifact)
    return fitting(report.evolve(calibration=found_shift, **told(older, asked, task.artifact)))


def report_of(window: Window, decision: Decision, digest: str) -> DriftReport:
    """The answer to the operator."""
    performance, split = decision.performance, decision.split
    return DriftReport(
        verdict=decision.verdict,
        window_start=format_time(window.span.start),
        window_end=format_time(window.span.end),
        samples=window.counts.samples,
        labelled=window.counts.labelled,
        label_coverage=_decimal(window.counts.coverage),
        label_sources=tuple(_result(each, window) for each in window.sources),
        checks=tuple(
            CheckResult(
                name=f.check.name,
                type=f.check.type,
                result=f.result,
                message=_cut(f.message, 256),
                segment=SegmentResult(column=f.segment.column, value=f.segment.value, rows=f.segment.rows)
                if f.segment
                else None,
            )
            for f in decision.findings
        ),
        metric=None
        if performance is None
        else MetricReading.model_validate(
            {
                "name": performance.metric,
                "reference": _decimal(performance.reference.value),
                "current": _decimal(performance.current.value),
                "low": _decimal(performance.current.low),
                "high": _decimal(performance.current.high),
            }
        ),
        estimated_metric=None
        if decision.estimated is None
        else MetricReading.model_validate(
            {
                "name": decision.estimated.metric,
                "reference": _decimal(decision.estimated.reference.value),
                "current": _decimal(decision.estimated.current.value),
                "low": _decimal(decision.estimated.current.low),
                "high": _decimal(decision.estimated.current.high),
            }
        ),
        top_features=tuple(
            FeatureShift(
                name=shift.feature.name,
                effect_size=_decimal(shift.feature.effect),
                p_value=_decimal(shift.p_value),
                drifted=shift.drifted,
            )
            for shift in decision.shifts[:_TOP_FEATURES]
            if shift.feature.effect is not None
        ),
        attribution=None
        if split is None
        else Attribution(
            identifiable=split.identifiable,
            covariate=None if split.covariate is None else _decimal(split.covariate.value),
            concept=None if split.concept is None else _decimal(split.concept.value),
            effective_sample_size=None if split.ess is None else _decimal(split.ess),
            domain_auc=None if split.domain_auc is None else _decimal(split.domain_auc),
        ),
        change_point=decision.change_point,
        report_digest=digest,
    )


def _place(task: DriftTask) -> tuple[str, str, str]:
    return task.namespace, task.target.model_name, task.target.stage


def _sources(pod: Pod, task: DriftTask) -> LabelPlaces:
    """Where the labels are: what an earlier container of the pod has read, and a Dataset's version from the store."""
    wanted = task.labels.sources or ()
    return LabelPlaces(
        task.labels,
        feedback_prefix(*_place(task)),
        pod.inputs if any(each.is_delivered for each in wanted) else None,
        fetch_dataset(pod.store, task.label_dataset, pod.scratch / "labels") if task.label_dataset else None,
    )


def _reference(
    pod: Pod, task: DriftTask, trained: Reference, window: Window, sources: LabelPlaces
) -> tuple[Reference, ReferenceSource]:
    """What the window is compared with, and its name."""
    wanted, folder = task.reference, pod.scratch / "reference"
    if wanted and wanted.dataset_ref:
        assert task.reference_dataset is not None
        pinned = task.reference_dataset
        return of_dataset(pinned, trained, store=pod.store, artifact=task.artifact, folder=folder)
    of_before = span_of_reference(wanted, window) if wanted else None
    if of_before is None:
        return trained, of_training(task.artifact, task.model_version, trained)
    captured = _window(pod, task, trained, of_before, sources, MAX_ROWS)
    return of_window(captured, trained, store=pod.store, artifact=task.artifact, folder=folder)


def _window(
    pod: Pod,
    task: DriftTask,
    trained: Reference,
    span: JudgedSpan,
    sources: LabelPlaces,
    most: int,
    newest: bool = False,
) -> Window:
    return load_window(
        pod.store,
        trained,
        span,
        requests=captures_prefix(*_place(task)),
        labels=sources,
        live=task.artifact,
        max_samples=most,
        newest=newest,
    )


def _result(each: SourceLabels, window: Window) -> LabelSourceResult:
    judged = window.judged.select(KEY)
    said = [each.found.frame, *([each.found.unknown] if each.found.unknown is not None else [])]
    return LabelSourceResult(
        source=each.source,
        labelled=sum(judged.join(frame, on=KEY, how="semi").height for frame in said),
        unmatched=each.found.unmatched,
        duplicates=each.found.duplicates,
        conflicts=each.found.conflicts,
        early=each.found.early,
        late=each.found.late,
        unusable=each.found.unusable,
        disagreeing=each.disagreeing,
        message=_cut(each.message, 160),
    )


def fitting(report: DriftReport) -> DriftReport:
    """Shorten `report` until it fits into a termination message; everything stands in the stored one.

    First messages are cut and the least moved inputs left out, then long names, then checks without a finding, sources
    of labels, and checks.
    """
    for length, features, name in ((256, 20, 300), (160, 10, 300), (120, 5, 300), (80, 3, 80), (40, 0, 50), (0, 0, 30)):
        report = report.evolve(
            checks=tuple(c.evolve(message=_cut(c.message, length)) for c in report.checks),
            top_features=report.top_features[:features],
            label_sources=tuple(
                s.evolve(source=_cut(s.source, name), message=_cut(s.message, length)) for s in report.label_sources
            ),
            not_measured=None if report.not_measured is None else _cut(report.not_measured, name),
        )
        if _fits(report):
            return report
    report = report.evolve(
        not_measured=None,
        label_sources=tuple(s.evolve(source=_cut(s.source, 60)) for s in report.label_sources),
        # A fault of the data is what the operator has to know, whatever else is left out.
        checks=tuple(sorted(report.checks, key=lambda c: (c.result != "Detected", c.type != "DataQuality"))),
    )
    while not _fits(report) and (report.checks or report.label_sources):
        kept = report.checks
        if kept and (kept[-1].result != "Detected" or not report.label_sources):
            report = report.evolve(checks=kept[:-1])
        else:
            report = report.evolve(label_sources=report.label_sources[:-1])
    return report


def _fits(report: DriftReport) -> bool:
    try:
        write_report(report)
    except ReportError:
        return False
    return True


def _span(pod: Pod, task: DriftTask, sources: LabelPlaces) -> JudgedSpan:
    """The event time of the window: as long as it says, or so long that it holds the newest so many rows."""
    end = parse_time(task.as_of) if task.as_of else pod.time_of(check_name(task.monitor), task.monitor)
    if task.window.rows is not None:
        found = newest_span(pod.store, captures_prefix(*_place(task)), end, task.window.rows)
        return JudgedSpan(found.start, end, earlier(end, sources.longest_wait))
    length = parse_duration(str(task.window.duration))
    if length <= timedelta(0):
        raise BadInput(Reason.CONFIGURATION_INVALID, "spec.window.duration: is 0, a window needs a span of time")
    return JudgedSpan(earlier(end, length), end, earlier(end, sources.longest_wait))


def _checked(pod: Pod, task: DriftTask, trained: Reference, span: JudgedSpan, sources: LabelPlaces) -> Window:
    """The window that is checked; of so many rows, those that are judged by label are as many."""
    count = task.window.rows
    if count is None:
        return _window(pod, task, trained, span, sources, task.window.max_samples)
    window = _window(pod, task, trained, span, sources, count, newest=True)
    if span.judged_until >= span.end:
        return window
    found = newest_span(pod.store, captures_prefix(*_place(task)), span.judged_until, count)
    until = JudgedSpan(found.start, span.judged_until, span.judged_until)
    return with_cohort(window, _window(pod, task, trained, until, sources, count, newest=True))


def _beside_earlier(pod: Pod, task: DriftTask, reference: Reference, window: Window) -> Window:
    """The window with the rows of the one before it, as long or as many, where a check asks what came again."""
    columns = compared_inputs(reference, window.frame)
    if not columns or all(check.type != "DataQuality" for check in task.checks):
        return window
    requests, span = captures_prefix(*_place(task)), window.span
    if task.window.rows is not None:
        before = newest_span(pod.store, requests, span.start, task.window.rows)
    else:
        before = Span(earlier(span.start, span.end - span.start), span.start)
    return replace(window, earlier=load_earlier(pod.store, reference, before, columns, requests=requests))


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: max(0, length - 1)] + ("…" if length else "")


def _decimal(value: float | None) -> str:
    """Six significant digits; what is infinite is written as a very large number, since a Decimal has no infinity."""
    if value is None or math.isnan(value):
        return "0"
    return f"{max(-_LARGEST, min(_LARGEST, value)):.6g}"
