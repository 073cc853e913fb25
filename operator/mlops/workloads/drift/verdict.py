"""From the checks' answers to one verdict."""

from __future__ import annotations

from datetime import datetime

from mlops.api.base import format_time
from mlops.api.drift_monitor import Check, CheckType, Labels, Verdict
from mlops.api.drift_monitor import Window as WindowSpec
from mlops.workloads.drift.checks import ALL, CHECKS
from mlops.workloads.drift.checks.drift_check import Evidence
from mlops.workloads.drift.findings import Decision, Finding, Performance
from mlops.workloads.drift.inputs import Inputs
from mlops.workloads.drift.performance import Labelled, Limits
from mlops.workloads.drift.reference import Reference
from mlops.workloads.drift.segments import answer_of, check_columns
from mlops.workloads.drift.window import Window
from mlops.workloads.floor.records.layout import INPUT
from mlops.workloads.floor.records.reading import SEND_EVENT_TIME


def decide(
    reference: Reference,
    window: Window,
    checks: tuple[Check, ...],
    *,
    limits: WindowSpec,
    labels: Labels,
    seed: int,
) -> Decision:
    """Answer every check and draw the verdict. Pure: the same rows and seed give the same bits.

    Raises BadInput when a check asks for a metric that does not fit the model.
    """
    evidence, enough = answers(reference, window, checks, limits=limits, labels=labels, seed=seed)
    verdict = _verdict(evidence, enough)
    performance, changed = _performance(evidence)
    return Decision(
        verdict=verdict,
        sentence=_sentence(verdict, evidence),
        findings=tuple(evidence.findings),
        shifts=evidence.shifts,
        performance=performance,
        estimated=evidence.estimated,
        split=evidence.split,
        challenge=evidence.challenge,
        calibration=evidence.calibration,
        change_point=None if changed is None else format_time(changed),
        notes=(*_notes(window), *_not_compared(reference, window)),
    )


def answers(
    reference: Reference,
    window: Window,
    checks: tuple[Check, ...],
    *,
    limits: WindowSpec,
    labels: Labels,
    seed: int,
) -> tuple[Evidence, bool]:
    """Answer every check, without what a report shows beside; also whether there were rows enough. See `decide`."""
    labelled = Labelled(reference, window, Limits.of(limits.min_samples, labels), seed)
    for check in checks:
        check_columns(check, reference)
        if CHECKS[check.type].measures:
            labelled.metrics_of(check)
    evidence = Evidence(reference, window, Inputs(reference, window), labelled)
    few = _few(reference, window, limits.min_samples)
    enough = window.counts.samples >= limits.min_samples and not few
    for check in checks:
        type_ = CHECKS[check.type]
        if enough:
            answer = answer_of(type_, check, evidence)
        else:
            answer = type_.answer_of_few(check, window, limits.min_samples, few)
        evidence.findings.append(answer)
    return evidence, enough


def _few(reference: Reference, window: Window, min_samples: int) -> str:
    """Why nothing can be compared with another reference than the training data; empty where the window is small."""
    rows = reference.frame.height
    if not reference.name or rows >= min_samples or window.counts.samples < min_samples:
        return ""
    return f"{rows} rows in the reference ({reference.name}), minSamples is {min_samples}"


def _detected(evidence: Evidence) -> dict[CheckType, Finding]:
    """Return the first check of each type that detected."""
    return {each.check.type: each for each in reversed(evidence.findings) if each.result == "Detected"}


def _verdict(evidence: Evidence, enough: bool) -> Verdict:
    detected = _detected(evidence)
    for type_ in ALL:
        if type_.type in detected and (enough or type_.needs_no_rows) and not type_.is_explained(evidence):
            return type_.type
    if not enough or any(finding.result == "Inconclusive" for finding in evidence.findings):
        return "Inconclusive"
    return "Stable"


def _performance(evidence: Evidence) -> tuple[Performance | None, datetime | None]:
    judged = evidence.judged
    if judged is None:
        return None, None
    dropped = judged.p_value <= evidence.alpha
    changed = evidence.labelled.changed_at(judged, evidence.alpha) if dropped else None
    return evidence.labelled.summary(judged), changed


def _sentence(verdict: Verdict, evidence: Evidence) -> str:
    if verdict == "Stable":
        return "Nothing that was asked about has moved."
    if verdict == "Inconclusive":
        open_questions = [each.message for each in evidence.findings if each.result == "Inconclusive"]
        return f"It cannot be told: {open_questions[0]}."
    return CHECKS[verdict].sentence(_detected(evidence)[verdict].message, evidence.findings)


def _classes(window: Window) -> str:
    named = [name if len(name) <= 40 else name[:39] + "…" for name in sorted(window.unknown)[:5]]
    more = f" and {len(window.unknown) - 5} more" if len(window.unknown) > 5 else ""
    return (
        f"classes that the model does not know ({', '.join(named)}{more}): they count for the class balance, and for "
        "no metric; a run on a Dataset that has them learns them"
    )


def _not_compared(reference: Reference, window: Window) -> tuple[str, ...]:
    """What has no value in the window is compared by no check: this must not pass for having stayed where it was."""
    frame = window.frame
    empty = [
        name
        for name in reference.fields
        if frame.height and frame[INPUT + name].null_count() == frame.height and name not in window.absent
    ]
    if not empty:
        return ()
    named = ", ".join(empty[:5]) + (f" and {len(empty) - 5} more" if len(empty) > 5 else "")
    return (f"No row has a value of {named}: not compared (inputs in capture.redact are recorded so).",)


def _notes(window: Window) -> tuple[str, ...]:
    counts = window.counts
    notes = []
    if window.cohort is not None:
        judged = window.judged
        first, last = (format_time(t) for t in (judged["time"][0], judged["time"][-1])) if judged.height else ("", "")
        of_when = f", of {first} to {last}" if judged.height else ""
        notes.append(f"Judged by label are the newest {judged.height} rows that are old enough{of_when}.")
    if counts.samples < counts.rows and not window.is_newest:
        notes.append(f"{counts.samples} of {counts.rows} rows were drawn by a hash of their id (maxSamples).")
    if counts.live < counts.samples:
        notes.append(
            f"{counts.samples - counts.live} rows were answered by other versions: they count for the inputs, not for"
            " the performance of the live one."
        )
    if counts.too_young:
        notes.append(f"{counts.too_young} rows are too young to be judged by label (labels.maxDelay).")
    for number, what in (
        (counts.duplicates, "repeated captures"),
        (counts.label_duplicates, "repeated labels"),
        (counts.label_conflicts, "rows with conflicting labels, of which the last one received counts"),
        (counts.labels_unmatched, "labels dated in the window belong to requests outside of it, or to none captured"),
        (counts.labels_early, f"labels are dated more than a day before their request: {SEND_EVENT_TIME}"),
        (counts.labels_late, "labels came later after their request than labels.maxDelay says; they count"),
        (counts.labels_unusable, "labels that say nothing: no class, or no number"),
        (counts.labels_unknown, f"rows have labels of {_classes(window)}"),
    ):
        if number:
            notes.append(f"{number} {what}.")
    for each in window.sources:
        if each.message:
            notes.append(f"Labels of {each.source}: {each.message}.")
        if each.disagreeing:
            notes.append(
                f"Labels of {each.source}: {each.disagreeing} rows have another one of an earlier source, which counts."
            )
    return tuple(notes)
