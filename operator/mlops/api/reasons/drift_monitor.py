"""Reasons of a DriftMonitor."""

from __future__ import annotations

from mlops.api.reasons.explanation import LOG, RETRY, WAIT, explanations

DRIFT_MONITOR = (
    *explanations(
        ("DriftMonitor",),
        "",
        ("Pending", "Unknown", "It was seen for the first time.", WAIT),
        (
            "TargetNotFound",
            "False",
            "The model has no version.",
            "Make a ModelVersion, or correct spec.targetRef.modelName.",
        ),
        (
            "TargetNotLive",
            "False Unknown",
            "No version of the model is live in that stage; with Ready=Unknown one is on its way.",
            "See why its ModelVersions are not, or correct spec.targetRef.stage.",
        ),
        (
            "WaitingForFirstCheck",
            "True Unknown",
            "The checks are scheduled; none has finished yet.",
            WAIT,
        ),
        ("Suspended", "True", "spec.suspend is true: no checks are made.", "Set spec.suspend to false."),
    ),
    *explanations(
        ("DriftMonitor",),
        "RetrainingTriggered",
        (
            "TrainingRunNotFound",
            "False",
            "spec.trainingRunRef names no TrainingRun.",
            "Make the template, or correct the name.",
        ),
        (
            "NotATemplate",
            "False",
            "The TrainingRun that spec.trainingRunRef names has no spec.triggers.",
            "Name a template instead.",
        ),
        ("RunCreated", "", "The verdict called for a run, and it is made."),
        ("NoAction", "", "No action names the verdict."),
        ("InCooldown", "", "The last action was less than guard.cooldown ago.", WAIT),
        ("WeeklyLimit", "", "There were guard.maxRunsPerWeek runs in seven days.", "Wait, or raise the limit."),
        (
            "CircuitOpen",
            "",
            "guard.maxRejectedChallengers runs in a row for this verdict led to no new version: it calls for no more.",
            "See why those runs were rejected; then edit the monitor, or ask for a retry: both close the circuit. One "
            "run is let through after guard.circuitResetAfter.",
        ),
        (
            "NothingNew",
            "",
            "The same run on the same data gave the model that serves. The Dataset is looked at again, and makes a run "
            "if its content has changed.",
            "Deliver new data, or edit the template.",
        ),
        ("Unconfirmed", "", "Fewer than guard.confirmations checks in a row came to this verdict.", WAIT),
        ("OnHold", "", "The action for the verdict is Hold: nothing is trained.", "Mend the data."),
        ("RunActive", "", "A run of this monitor is not finished.", WAIT),
    ),
    *explanations(
        ("DriftMonitor",),
        "Checked LabelsAvailable",
        ("Checked", "True", "The newest check came to a verdict; of LabelsAvailable: enough rows have labels."),
    ),
    *explanations(
        ("DriftMonitor",),
        "DataDriftDetected ConceptDriftDetected",
        (
            "Detected",
            "",
            "A check of that type detected.",
            "Read the report: `mlops report MONITOR`, of a cluster `mlops report DIGEST --store URL`.",
        ),
        ("NotDetected", "", "No check of that type detected."),
    ),
    *explanations(
        ("DriftMonitor",),
        "DataDriftDetected ConceptDriftDetected LabelsAvailable",
        (
            "Inconclusive",
            "",
            "It cannot be told; of LabelsAvailable: too few rows have labels.",
            "Send labels, or widen spec.window.",
        ),
    ),
    *explanations(
        ("DriftMonitor",),
        "Checked",
        (
            "ConfigurationInvalid",
            "False",
            "A check's metric does not fit the model, or the window spans nothing.",
            "Correct spec.checks or spec.window as the message says.",
        ),
        (
            "DataUnusable",
            "False",
            "The model has no reference to compare with, or captured rows cannot be read.",
            "Train the model anew; or mend the file that the message names, and ask for a retry.",
        ),
        (
            "DigestMismatch",
            "False",
            "Stored bytes are not what their digest says.",
            "Restore the bytes, and ask for a retry; or train the model anew.",
        ),
        (
            "DeadlineExceeded",
            "False",
            "The check took longer than 1800 s.",
            "Use a smaller spec.window.maxSamples.",
        ),
        ("OOMKilled", "False", "The check needed more memory than its 2 GiB.", "Use a smaller spec.window.maxSamples."),
        (
            "ReportMissing",
            "False",
            "The pod left no report; the next check tries again.",
            f"{LOG}; then wait, or {RETRY}.",
        ),
        (
            "BackoffLimitExceeded",
            "False",
            "The pod failed and left no report; the next check tries.",
            f"{LOG}; then wait, or {RETRY}.",
        ),
    ),
)
