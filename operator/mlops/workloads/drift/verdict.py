"""From the checks' answers to one verdict."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mlops.api.base import format_time
from mlops.api.drift_monitor import Check, Labels, Verdict
from mlops.api.drift_monitor import Window as WindowSpec
from mlops.workloads.drift.findings import Challenge, Decision, Finding, Performance, Shift, Split
from mlops.workloads.drift.inputs import Inputs
from mlops.workloads.drift.performance import Judged, Labelled, Limits
from mlops.workloads.drift.reference import Reference
from mlops.workloads.drift.window import Window
from mlops.workloads.records.reading import SEND_EVENT_TIME

# When several checks answer yes: a moved relation outranks moved inputs, since it asks for more.
_ORDER: tuple[Verdict, ...] = ("ConceptDrift", "LabelShift", "DataDrift", "PerformanceDrop", "PredictionDrift")


@dataclass
class _Evidence:
    """What is gathered beside the answers."""

    findings: list[Finding]
    shifts: tuple[Shift, ...] = ()
    judged: Judged | None = None
    alpha: float = 0.0
    split: Split | None = None
    challenge: Challenge | None = None


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
    inputs = Inputs(reference, window)
    labelled = Labelled(reference, window, Limits.of(limits.min_samples, labels), seed)
    for check in checks:
        if check.type in ("PerformanceDrop", "ConceptDrift"):
            labelled.metric_of(check)
    evidence = _Evidence([])
    if window.counts.samples < limits.min_samples:
        evidence.findings = [_too_few(check, window, limits.min_samples) for check in checks]
    else:
        for check in checks:
            evidence.findings.append(_answer(check, inputs, labelled, evidence))
    verdict = _verdict(evidence.findings, labelled, window, limits.min_samples)
    performance, changed = _performance(evidence, labelled)
    return Decision(
        verdict=verdict,
        sentence=_sentence(verdict, evidence),
        findings=tuple(evidence.findings),
        shifts=evidence.shifts,
        performance=performance,
        split=evidence.split,
        challenge=evidence.challenge,
        change_point=None if changed is None else format_time(changed),
        notes=_notes(window),
    )


def _answer(check: Check, inputs: Inputs, labelled: Labelled, evidence: _Evidence) -> Finding:
    match check.type:
        case "DataQuality":
            return inputs.quality(check)
        case "DataDrift":
            finding, shifts = inputs.drift(check)
            evidence.shifts = evidence.shifts or shifts
            return finding
        case "PredictionDrift":
            return inputs.predictions(check)
        case "LabelShift":
            return labelled.label_shift(check)
        case "PerformanceDrop":
            _note_drop(check, labelled, evidence)
            return labelled.performance(check)
        case "ConceptDrift":
            # scikit-learn is imported only when a drop is suspicious.
            _note_drop(check, labelled, evidence)
            judged = labelled.drop(check)
            if isinstance(judged, str) or judged.test.pvalue > float(check.alpha):
                return labelled.performance(check)
            from mlops.workloads.drift.concept import concept_drift

            finding, split, challenge = concept_drift(labelled, judged, check)
            evidence.split, evidence.challenge = evidence.split or split, evidence.challenge or challenge
            return finding


def _note_drop(check: Check, labelled: Labelled, evidence: _Evidence) -> None:
    judged = labelled.drop(check)
    if evidence.judged is None and not isinstance(judged, str):
        evidence.judged, evidence.alpha = judged, float(check.alpha)


def _too_few(check: Check, window: Window, min_samples: int) -> Finding:
    counts = window.counts
    if check.type == "DataQuality" and counts.samples == 0 and counts.captured_before:
        return Finding(check, "Detected", "no request was captured in the window, though there were some before it")
    return Finding(check, "Inconclusive", f"{counts.samples} rows in the window, minSamples is {min_samples}")


def _verdict(findings: list[Finding], labelled: Labelled, window: Window, min_samples: int) -> Verdict:
    detected = {finding.check.type: finding for finding in reversed(findings) if finding.result == "Detected"}
    if "DataQuality" in detected:
        return "DataQuality"
    if window.counts.samples < min_samples:
        return "Inconclusive"
    order = _ORDER
    if {"LabelShift", "DataDrift"} <= set(detected) and labelled.inputs_moved_within_classes(
        detected["DataDrift"].check
    ):
        # The class balance followed the inputs.
        order = tuple(verdict for verdict in _ORDER if verdict != "LabelShift")
    for verdict in order:
        if verdict in detected:
            return verdict
    return "Inconclusive" if any(finding.result == "Inconclusive" for finding in findings) else "Stable"


def _performance(evidence: _Evidence, labelled: Labelled) -> tuple[Performance | None, datetime | None]:
    judged = evidence.judged
    if judged is None:
        return None, None
    dropped = judged.test.pvalue <= evidence.alpha
    changed = labelled.changed_at(judged, evidence.alpha) if dropped else None
    return labelled.summary(judged), changed


def _sentence(verdict: Verdict, evidence: _Evidence) -> str:
    detected = {f.check.type: f.message for f in reversed(evidence.findings) if f.result == "Detected"}
    match verdict:
        case "Stable":
            return "Nothing that was asked about has moved."
        case "Inconclusive":
            open_questions = [f.message for f in evidence.findings if f.result == "Inconclusive"]
            return f"It cannot be told: {open_questions[0]}."
        case "DataQuality":
            return f"The delivery of data is broken: {detected['DataQuality']}."
        case "ConceptDrift":
            return f"The relation of inputs to target has changed: {detected['ConceptDrift']}."
        case "LabelShift":
            return f"The class balance has changed: {detected['LabelShift']}."
        case "DataDrift":
            asked = any(f.check.type == "ConceptDrift" for f in evidence.findings)
            concept = "; the relation of inputs to target is not shown to have moved" if asked else ""
            return f"The inputs have moved: {detected['DataDrift']}{concept}."
        case "PerformanceDrop":
            return (
                f"The model has become worse, for reasons that the checks do not tell: {detected['PerformanceDrop']}."
            )
        case "PredictionDrift":
            return f"The model's answers have moved: {detected['PredictionDrift']}."


def _notes(window: Window) -> tuple[str, ...]:
    counts = window.counts
    notes = []
    if counts.samples < counts.rows:
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
        (counts.labels_unusable, "labels that are none of the model's classes, or no number"),
    ):
        if number:
            notes.append(f"{number} {what}.")
    return tuple(notes)
