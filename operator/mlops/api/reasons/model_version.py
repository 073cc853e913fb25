"""Reasons of a ModelVersion."""

from __future__ import annotations

from mlops.api.reasons.explanation import LOG, WAIT, explanations

MODEL_VERSION = (
    *explanations(
        ("ModelVersion",),
        "ArtifactVerified Available",
        (
            "TrainingRunNotFound",
            "False",
            "spec.source names no run of the namespace.",
            "Make that run, or a ModelVersion with the right name.",
        ),
        (
            "TrainingRunNotReady",
            "False Unknown",
            "The run has no model yet; the message repeats why.",
            "Wait; if the run failed, make another run and a ModelVersion of it.",
        ),
        ("Verifying", "Unknown", "Bytes, recorded answers and speed are being checked.", WAIT),
        ("Verified", "", "The recorded answers are reproduced."),
        (
            "ArtifactNotFound",
            "False",
            "The store has no artifact of that digest, or no longer. Pods that answer stay; if none does, the newest "
            "other good version serves.",
            "Correct the digest in a new ModelVersion, train again, or restore the artifact and edit spec.promotion or "
            "spec.capture.",
        ),
        (
            "GoldenFailed",
            "False",
            "The model does not give its recorded answers, or has none.",
            "Serve it with the libraries that it was trained with, or train again.",
        ),
        (
            "FormatForbidden",
            "False",
            "A file is no part of a model (a pickle, foreign bytes, custom operators), points outside of itself, or "
            "took more memory or time than a model may.",
            "Make a version of an artifact in ONNX, treelite or skops.",
        ),
        (
            "UntrustedType",
            "False",
            "The skops file has a type that is not on the list.",
            "Use an allowed estimator, or ONNX.",
        ),
        (
            "Incompatible",
            "False",
            "The model was written by a newer release, or by another skops.",
            "Serve it with that release, or train again.",
        ),
        (
            "OutputInvalid",
            "False",
            "model.json, golden.json and the model file contradict each other.",
            "Train again, and make a ModelVersion of that run.",
        ),
        (
            "DigestMismatch",
            "False",
            "Stored bytes are not what the digest says.",
            "Restore the bytes, or train again; then make a new ModelVersion.",
        ),
        (
            "DeadlineExceeded",
            "False",
            "The verification took longer than 600 s. It is tried again.",
            "Wait; if it happens again, train a smaller model.",
        ),
        (
            "OOMKilled",
            "False",
            "The verifying pod needed more memory than its 2 GiB, or a server more than its limit.",
            "Train a smaller model, or raise the stage's resources in spec.promotion.",
        ),
        ("ReportMissing", "False", "The verifying pod left no report. It is tried again.", f"{LOG}."),
        ("BackoffLimitExceeded", "False", "The verifying pod failed and left no report.", f"{LOG}."),
    ),
    *explanations(
        ("ModelVersion",),
        "ArtifactVerified Available",
        (
            "VersionConflict",
            "False",
            "An older ModelVersion of the model has the same number.",
            "Make a ModelVersion with another number, and delete this one.",
        ),
        (
            "Withdrawn",
            "True",
            "spec.withdrawn is true: it serves in no stage.",
            "Set spec.withdrawn to false to have it serve again.",
        ),
    ),
    *explanations(
        ("ModelVersion",),
        "GatesPassed Available",
        ("GatesPassed", "", "The gates of all stages hold."),
        (
            "GatesFailed",
            "False",
            "A stage's gate does not hold (LatencyTooHigh: the p99 is above it); the version stays before that stage.",
            "Edit the gate in spec.promotion, or make a new version.",
        ),
    ),
    *explanations(
        ("ModelVersion",),
        "Available",
        ("Progressing", "Unknown", "Pods are starting, or a newer version is rolled out first.", WAIT),
        ("Serving", "True", "It is live."),
        (
            "NotRunning",
            "False",
            "No `mlops run` works on the state folder, so nothing serves (shown by the command line only).",
            "Start `mlops run` again; with --keep-serving the servers stay up after it is done.",
        ),
        (
            "ServingFailed",
            "False",
            "Its server is up and does not become ready within 120 s, or ends again and again without a word; if "
            "another good version is there, that one serves. Or a setting of the installation stops every server, "
            "which is tried again.",
            "Read the pods' logs; any edit of spec.promotion or spec.capture tries again, or make a new version.",
        ),
    ),
    *explanations(("ModelVersion",), "Superseded Available", ("Superseded", "True", "A newer version took over.")),
    *explanations(
        ("ModelVersion",),
        "",
        ("Pending", "Unknown", "It was seen for the first time.", WAIT),
    ),
)
