"""Reasons of a Dataset."""

from __future__ import annotations

from mlops.api.reasons.explanation import LOG, RETRY, WAIT, explanations

DATASET = (
    *explanations(
        ("Dataset",),
        "Versioned",
        ("Pending", "Unknown", "It was seen for the first time, or there is no version yet.", WAIT),
        ("Ingesting", "True Unknown", "A look at the source is under way or due.", WAIT),
        ("Versioned", "True", "The current version is good."),
    ),
    *explanations(
        ("Dataset",),
        "Validated",
        ("Unchanged", "True", "The newest look found the same content."),
        ("Validated", "", "The newest delivery met the contract and the rules."),
    ),
    *explanations(
        ("Dataset",),
        "",
        ("Suspended", "Unknown", "spec.suspend is true before there is any version.", "Set spec.suspend to false."),
        (
            "NoLiveModel",
            "False",
            "The source is captures of a model that never was live.",
            "Deliver rows in spec.source.captured.history, or make a ModelVersion of that model.",
        ),
    ),
    *explanations(
        ("Dataset",),
        "Validated",
        (
            "Rejected",
            "False",
            "Rows break the contract of the fields or a rule, or there are too few of them.",
            "Mend the rule that the message names; or the data, and ask for a retry.",
        ),
        (
            "SchemaMismatch",
            "False",
            "A column is missing, or a value has another type than its field.",
            "Mend spec.fields; or the file, and ask for a retry. The message names file, row and column.",
        ),
        (
            "FormatError",
            "False",
            "The file is not of spec.format: damaged, not UTF-8, too large, or an archive that unpacks without end.",
            "Correct spec.format; or deliver it again, and ask for a retry.",
        ),
        (
            "DataUnusable",
            "False",
            "No row is left after reading and cleaning, or the label has one value only or none.",
            "Correct spec.clean; or deliver other rows, and ask for a retry.",
        ),
        (
            "SourceNotFound",
            "False",
            "There is no such bucket, object or URL.",
            "Correct spec.source, the message names prefixes like it; or deliver it, and ask for a retry.",
        ),
        (
            "SourceForbidden",
            "False",
            "The source lies where the artifact store keeps what it has, or around that.",
            "Deliver to another bucket or prefix; read captured requests by spec.source.captured.",
        ),
        (
            "SourceUnavailable",
            "False",
            "The web server does not answer, or not in time. It is tried again.",
            "Wait, or check the URL's host and ask for a retry.",
        ),
        (
            "AddressForbidden",
            "False",
            "The URL leads to an address that is not public, which pods must not reach.",
            "Use a public address; or have the installation allow the network (MLOPS_HTTP_ALLOWED_NETWORKS), and ask "
            "for a retry.",
        ),
        (
            "ExpressionInvalid",
            "False",
            "An expression of spec.clean, spec.features or spec.validation cannot be parsed, or is not row by row.",
            "Correct the expression at the field path in the message.",
        ),
        (
            "DigestMismatch",
            "False",
            "The downloaded file has another sha256 than spec.source.http.sha256; or stored bytes were changed.",
            "Correct the sha256; or restore the bytes, and ask for a retry.",
        ),
        (
            "DeadlineExceeded",
            "False",
            "The look took longer than an hour. It is tried again.",
            "Deliver in smaller parts; then wait, or ask for a retry.",
        ),
        (
            "OOMKilled",
            "False",
            "The pod needed more memory than its 3 GiB.",
            "Deliver fewer rows or columns, and ask for a retry.",
        ),
        ("ReportMissing", "False", "The pod left no report. It is tried again.", f"{LOG}; then wait, or {RETRY}."),
        (
            "BackoffLimitExceeded",
            "False",
            "The pod failed and left no report. It is tried again.",
            f"{LOG}; then wait, or {RETRY}.",
        ),
    ),
)
