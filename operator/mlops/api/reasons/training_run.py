"""Reasons of a TrainingRun: its way, its gates, and what its pods report."""

from __future__ import annotations

from mlops.api.reasons.explanation import LOG, WAIT, explanations

TRAINING_RUN = (
    *explanations(
        ("TrainingRun",),
        "",
        ("Pending", "Unknown", "It was seen for the first time.", WAIT),
        ("Template", "True", "It is a template at rest; lastRun names the newest run made of it."),
        (
            "RunPending",
            "Unknown",
            "A firing of the template is on record; its run is made next.",
            "Wait; or set spec.suspend to false, if the message says so.",
        ),
        (
            "Suspended",
            "True Unknown",
            "spec.suspend is true. A suspended run is stopped (Ready=Unknown); a suspended template makes no runs "
            "(Ready=True).",
            "Set spec.suspend to false.",
        ),
    ),
    *explanations(
        ("TrainingRun",),
        "DatasetReady Succeeded",
        (
            "DatasetNotFound",
            "False",
            "There is no such Dataset in the namespace.",
            "Make it, and the run goes on; or make a run with the right spec.datasetRef.name.",
        ),
        (
            "DatasetNotReady",
            "False Unknown",
            "The Dataset has no usable version yet; the message repeats why.",
            "Mend the Dataset as its own reason says; the run goes on by itself.",
        ),
        (
            "DatasetVersionNotFound",
            "False",
            "spec.datasetRef.version is none of the Dataset's versions.",
            "Make a run with one of the versions that the message lists.",
        ),
        (
            "WaitingForRefresh",
            "Unknown",
            "The Dataset's source was not looked at since spec.datasetRef.notBefore; it is looked at for this run.",
            WAIT,
        ),
    ),
    *explanations(("TrainingRun",), "DatasetReady", ("DatasetPinned", "", "The version of the data is on record.")),
    *explanations(
        ("TrainingRun",),
        "Succeeded",
        ("Running", "Unknown", "The training pod works, or waits for a node.", WAIT),
        ("Succeeded", "True", "The run is done."),
        ("Cached", "", "The result of a run with equal inputs is taken over; cachedFrom names it."),
    ),
    *explanations(
        ("TrainingRun",),
        "GatesPassed",
        ("GatesPassed", "Unknown", "All gates hold; with Ready=Unknown the ModelVersion is being made."),
        (
            "GatesFailed",
            "False",
            "A gate does not hold; nothing is registered.",
            "See the figures in the message; train otherwise, or make a run with another gate.",
        ),
        (
            "MetricMissing",
            "False",
            "A gate names a metric that was not measured.",
            "Make a run whose gates name metrics that the message lists.",
        ),
    ),
    *explanations(
        ("TrainingRun",),
        "Reproducible",
        ("Verifying", "Unknown", "It is trained a second time, to compare the digests.", WAIT),
        ("Reproducible", "", "The second execution gave the same model, byte for byte."),
        (
            "NotReproducible",
            "False",
            "The second execution gave another model; nothing is registered.",
            "See the first file that differs; set every seed, or train without spec.reproducibility.verify.",
        ),
    ),
    *explanations(
        ("TrainingRun",),
        "Succeeded Reproducible",
        (
            "EnvironmentMismatch",
            "False",
            "The pod's libraries are not those that the run is pinned to: the release was changed meanwhile.",
            "Use the workload image of the operator's release, and make a new run.",
        ),
        (
            "EstimatorUnknown",
            "False",
            "The estimator is not on the list of those that may be trained.",
            "Make a run with one of the list; the message names the closest.",
        ),
        (
            "ParameterInvalid",
            "False",
            "There is no such parameter, its value is bad, or the grid has more combinations than maxTrials.",
            "Make a run with what the message says is allowed.",
        ),
        (
            "DataUnusable",
            "False",
            "The data has no label, one class only, a timestamp as a feature, too few rows or an empty column.",
            "Mend the Dataset, and make a new run.",
        ),
        (
            "TrainingFailed",
            "False",
            "scikit-learn could not fit, or your own container failed.",
            "Read the message and the pod's log; make a new run with what they call for.",
        ),
        (
            "ExportFailed",
            "False",
            "No format that may be stored reproduces the model's answers.",
            "Use another estimator or other parameters.",
        ),
        (
            "OutputInvalid",
            "False",
            "Your container left no valid model or metrics; or the numbers of the model's versions are used up.",
            "Mend what the message names in the container's outputs, and make a new run.",
        ),
        (
            "FormatForbidden",
            "False",
            "A file is no part of a model (a pickle, foreign bytes, custom operators), points outside of itself, or "
            "took more memory or time than a model may.",
            "Write ONNX, treelite or skops instead; export a damaged one again.",
        ),
        (
            "UntrustedType",
            "False",
            "An estimator has a part that is not on the list of types that may be stored.",
            "Use an allowed estimator, or export to ONNX.",
        ),
        (
            "Incompatible",
            "False",
            "The data or the champion was written by a newer release or with other libraries.",
            "Use the workload image of the newer release, or make them again with this one.",
        ),
        (
            "DigestMismatch",
            "False",
            "Stored bytes are not what their digest says.",
            "Restore the bytes, or have the Dataset read again; then make a new run.",
        ),
        (
            "DeadlineExceeded",
            "False",
            "Training took longer than spec.activeDeadlineSeconds.",
            "Make a new run with a longer deadline.",
        ),
        (
            "OOMKilled",
            "False",
            "Training needed more memory than its limit.",
            "Make a new run with more spec.resources.limits.memory.",
        ),
        (
            "ReportMissing",
            "False",
            "The pod left no report; it may have been lost. It is tried again, three times in all.",
            "Read the pod's log if it stays: is the image a workload image of this release? Then make a new run.",
        ),
        (
            "BackoffLimitExceeded",
            "False",
            "The pod failed as often as spec.backoffLimit allows, and left no report.",
            f"{LOG}; then make a new run.",
        ),
    ),
)
