"""Every reason that a condition of the four kinds can have: its word, what it means, and the way out.

The one registry: whoever raises or says a reason names a member, so that mypy knows a word that is not here. It is also
the source of docs/reasons.md and of `mlops explain`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import NewType, Self

from mlops.api.condition_types import ConditionType

ALL = ("Dataset", "TrainingRun", "ModelVersion", "DriftMonitor")


@dataclass(frozen=True)
class Explanation:
    """What a reason says of an object of these kinds.

    `ready`: what Ready may be with it, nothing if Ready never has it. `conditions`: the others that may have it.
    `way_out`: what to do, as an order; empty where all is well.
    """

    reason: str
    kinds: tuple[str, ...]
    ready: tuple[str, ...]
    conditions: tuple[ConditionType, ...]
    meaning: str
    way_out: str = ""


@dataclass(frozen=True)
class _Meaning:
    """An explanation without its word."""

    place: _Place
    meaning: str
    way_out: str


class _Place:
    """Where a reason may stand: of which kinds, with which values of Ready ("False Unknown"), in which conditions."""

    def __init__(self, kinds: tuple[str, ...], ready: str, *conditions: ConditionType) -> None:
        self.kinds, self.ready, self.conditions = kinds, tuple(ready.split()), conditions

    def means(self, meaning: str, way_out: str = "") -> _Meaning:
        return _Meaning(self, meaning, way_out)


_CHILD_WAITS = _Place(ALL, "False", ConditionType.AVAILABLE)
_ANY_POD_FAILS = _Place(
    ALL,
    "False",
    ConditionType.VALIDATED,
    ConditionType.SUCCEEDED,
    ConditionType.REPRODUCIBLE,
    ConditionType.ARTIFACT_VERIFIED,
    ConditionType.CHECKED,
    ConditionType.AVAILABLE,
)
_INGEST_FAILS = _Place(("Dataset",), "False", ConditionType.VALIDATED)
_TRAINING_FAILS = _Place(("TrainingRun",), "False", ConditionType.SUCCEEDED, ConditionType.REPRODUCIBLE)
_VERIFYING_FAILS = _Place(("ModelVersion",), "False", ConditionType.ARTIFACT_VERIFIED, ConditionType.AVAILABLE)
_CHECK_FAILS = _Place(("DriftMonitor",), "False", ConditionType.CHECKED)
_ACTION = _Place(("DriftMonitor",), "", ConditionType.RETRAINING_TRIGGERED)
_KILLED_IN_ITS_PROCESS = (
    "The process in which a model or a file is opened was killed, or had too little processor time on a busy node. It "
    "says nothing about the model or file, and is tried again.",
    "Wait, or make room on the node; then ask for a retry.",
)


class Trait(Enum):
    """What a planner or an Event concludes from a reason, whoever says it: see `having`."""

    # A pod gives up on it at once, and the object does not have to change: keys that were revoked come back, somebody
    # makes room, trust is mended.
    MENDED_OUTSIDE = auto()
    # It passes by itself: the same work may succeed later.
    PASSES = auto()
    # It lies in what a run is pinned to: tried again, the run is pinned to what is there by then.
    OF_PINNED_INPUTS = auto()
    # It lies in the artifact that a server loads. The rest of what ends a server with exit code 2 (keys, addresses,
    # settings of the installation, an image of another release) would stop any model.
    OF_MODEL = auto()
    # A bug of the program that runs in the pod: nothing passes, and nobody but a person can help.
    OF_PROGRAM = auto()
    # It says nothing of the data or the recipe: a pod that was lost, a release between pinning and running.
    OF_CLUSTER = auto()
    # The engine lays it over what a planner said: of the name or the content of a child, of a spec that an older
    # program let in. It ends when that is mended, so it is no end of the object.
    LAID_OVER = auto()
    # What objects say on their way when a whole loop is applied at once: no warning.
    EXPECTED_AT_FIRST = auto()
    # Somebody asked to be told, or a person should know at once: a Warning, in whatever condition it stands.
    NEWS = auto()


class Reason(StrEnum):
    """The words, each with what it means for which kind, and with its traits."""

    explanations: tuple[Explanation, ...]
    traits: frozenset[Trait]

    def __new__(cls, word: str, *said: _Meaning | Trait) -> Self:
        """Return the member, which is its word."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.explanations = tuple(
            Explanation(word, each.place.kinds, each.place.ready, each.place.conditions, each.meaning, each.way_out)
            for each in said
            if isinstance(each, _Meaning)
        )
        member.traits = frozenset(each for each in said if isinstance(each, Trait))
        return member

    # Of any kind: what the engine finds wrong, and what every pod may report of the store.
    INVALID_SPEC = (
        "InvalidSpec",
        Trait.LAID_OVER,
        _Place(ALL, "False").means(
            "The object does not parse: an older or newer schema had let it in.", "Edit it as the message says."
        ),
    )
    NAME_TAKEN = (
        "NameTaken",
        Trait.LAID_OVER,
        _Place(ALL, "False").means(
            "The name of a child belongs to somebody else's object, which is not touched.",
            "Delete or rename one of the two.",
        ),
    )
    CHILD_REFUSED = (
        "ChildRefused",
        Trait.LAID_OVER,
        _CHILD_WAITS.means(
            "The cluster refuses a child, by a quota or a policy perhaps; the message repeats why.",
            "Mend what the message names; it is tried again.",
        ),
    )
    UNSCHEDULABLE = (
        "Unschedulable",
        _CHILD_WAITS.means(
            "No node fits a pod; the message repeats the scheduler's.",
            "Make room, or ask for less in the resources of the spec.",
        ),
    )
    POD_FORBIDDEN = (
        "PodForbidden",
        _Place(("Dataset",), "False").means(
            "The installation does not allow what podTemplate asks for; no pod is made.",
            "Edit podTemplate as the message says, or have the administrator list the value in the chart's podPolicy.",
        ),
        _Place(("TrainingRun",), "False", ConditionType.SUCCEEDED).means(
            "The installation does not allow what podTemplate asks for; the run does not start.",
            "Make a run without it, or have the administrator list the value in the chart's podPolicy.",
        ),
        _Place(("ModelVersion",), "False", ConditionType.AVAILABLE).means(
            "The installation does not allow what a stage's podTemplate asks for; its pods run without it.",
            "Edit podTemplate as the message says, or have the administrator list the value in the chart's podPolicy.",
        ),
        _Place(("DriftMonitor",), "False").means(
            "The installation does not allow what podTemplate asks for; no checks are made.",
            "Edit podTemplate as the message says, or have the administrator list the value in the chart's podPolicy.",
        ),
    )
    IMAGE_PULL = (
        "ImagePull",
        _CHILD_WAITS.means(
            "The image of a pod cannot be pulled.", "Correct the image, or give the nodes access to its registry."
        ),
    )
    CONTAINER_CONFIG = (
        "ContainerConfig",
        _CHILD_WAITS.means(
            "A container cannot be made: a Secret, a user or a command that is not there.",
            "Mend what the message names.",
        ),
    )
    STORE_UNAVAILABLE = (
        "StoreUnavailable",
        Trait.PASSES,
        _ANY_POD_FAILS.means(
            "The store does not answer. It is tried again; a drift check tries at its next time.",
            "Wait; check the store's endpoint and the network policy.",
        ),
    )
    BUCKET_MISSING = (
        "BucketMissing",
        Trait.PASSES,
        _ANY_POD_FAILS.means(
            "There is no such bucket, or no folder where the store should be. It is tried again; a drift check tries "
            "at its next time.",
            "Make the bucket, mount the volume, or correct the store's address; then wait, or ask for a retry.",
        ),
    )
    INTERRUPTED = (
        "Interrupted",
        Trait.PASSES,
        _INGEST_FAILS.means(*_KILLED_IN_ITS_PROCESS),
        _CHECK_FAILS.means(*_KILLED_IN_ITS_PROCESS),
        _TRAINING_FAILS.means(*_KILLED_IN_ITS_PROCESS),
        _Place(("ModelVersion",), "False", ConditionType.ARTIFACT_VERIFIED).means(*_KILLED_IN_ITS_PROCESS),
    )
    ACCESS_DENIED = (
        "AccessDenied",
        Trait.MENDED_OUTSIDE,
        _ANY_POD_FAILS.means(
            "The store, or the source, refuses the credentials. It is tried again, a drift check at its next time.",
            "Check keys and policy; then wait, or ask for a retry.",
        ),
    )
    CREDENTIALS_MISSING = (
        "CredentialsMissing",
        Trait.PASSES,
        _ANY_POD_FAILS.means(
            "A Secret with the keys is not there or lacks some. It is tried again.",
            "Make the Secret, or mend it; the message names it.",
        ),
    )
    NOT_FOUND = (
        "NotFound",
        Trait.OF_PINNED_INPUTS,
        _ANY_POD_FAILS.means(
            "There is no such artifact or object in the store.",
            "Restore it, or make it again; then ask for a retry.",
        ),
    )
    NO_SPACE = (
        "NoSpace",
        Trait.MENDED_OUTSIDE,
        _ANY_POD_FAILS.means(
            "The store's disk is full, or its quota is used up. It is tried again.",
            "Free space in the store; then wait, or ask for a retry.",
        ),
    )
    CERTIFICATE_UNTRUSTED = (
        "CertificateUntrusted",
        Trait.MENDED_OUTSIDE,
        _ANY_POD_FAILS.means(
            "The store's TLS certificate does not lead to a known authority. It is tried again.",
            (
                "Name the authority's PEM bundle in MLOPS_S3_CA_FILE, or give it in MLOPS_S3_CA; then wait, or ask "
                "for a retry."
            ),
        ),
    )
    ADDRESS_INVALID = (
        "AddressInvalid",
        _ANY_POD_FAILS.means(
            "The store's address, a bucket or a digest cannot be used as written.",
            "Correct what the message names; then ask for a retry.",
        ),
    )
    PATH_FORBIDDEN = (
        "PathForbidden",
        Trait.OF_MODEL,
        _ANY_POD_FAILS.means(
            "A path or key could name something outside of its place.",
            "Rename the object that the message names; then ask for a retry.",
        ),
    )
    MANIFEST_INVALID = (
        "ManifestInvalid",
        Trait.OF_PINNED_INPUTS,
        Trait.OF_MODEL,
        _ANY_POD_FAILS.means(
            "What lies under a digest is no manifest of an artifact.",
            "Restore it, or make the artifact again; then ask for a retry.",
        ),
    )
    TARGET_OCCUPIED = (
        "TargetOccupied",
        _ANY_POD_FAILS.means(
            "The folder to write to holds something else already.",
            "Empty the folder that the message names, or name another; then ask for a retry.",
        ),
    )
    REQUEST_REFUSED = (
        "RequestRefused",
        _ANY_POD_FAILS.means(
            "The store understood a request and refused it for a reason of its own.",
            "See the service's own words in the message, mend what they name, and ask for a retry.",
        ),
    )
    INTERNAL_ERROR = (
        "InternalError",
        Trait.OF_PROGRAM,
        _ANY_POD_FAILS.means(
            "The program met what it did not foresee, in the data perhaps; the message and the pod's log say what.",
            "Read the pod's log; change the data or the spec, and report the mistake.",
        ),
    )
    TASK_INVALID = (
        "TaskInvalid",
        Trait.OF_CLUSTER,
        _ANY_POD_FAILS.means(
            "The pod does not understand its task: operator and image are of different releases.",
            "Use the workload image of the operator's release; then ask for a retry.",
        ),
    )

    # Of several kinds, which mean different things by them.
    PENDING = (
        "Pending",
        Trait.EXPECTED_AT_FIRST,
        _Place(("Dataset",), "Unknown", ConditionType.VERSIONED).means(
            "It was seen for the first time, or there is no version yet.", "Wait."
        ),
        _Place(("TrainingRun",), "Unknown").means("It was seen for the first time.", "Wait."),
        _Place(("ModelVersion",), "Unknown").means("It was seen for the first time.", "Wait."),
        _Place(("DriftMonitor",), "Unknown").means("It was seen for the first time.", "Wait."),
    )
    SUSPENDED = (
        "Suspended",
        _Place(("Dataset",), "Unknown").means(
            "spec.suspend is true before there is any version.", "Set spec.suspend to false."
        ),
        _Place(("TrainingRun",), "True Unknown").means(
            (
                "spec.suspend is true. A suspended run is stopped (Ready=Unknown); a suspended template makes no "
                "runs (Ready=True)."
            ),
            "Set spec.suspend to false.",
        ),
        _Place(("DriftMonitor",), "True").means(
            "spec.suspend is true: no checks are made.", "Set spec.suspend to false."
        ),
    )
    DATA_UNUSABLE = (
        "DataUnusable",
        Trait.OF_PINNED_INPUTS,
        _INGEST_FAILS.means(
            "No row is left after reading and cleaning, or the label has one value only or none.",
            "Correct spec.clean; or deliver other rows, and ask for a retry.",
        ),
        _TRAINING_FAILS.means(
            "The data has no label, one class only, a timestamp as a feature, too few rows or an empty column.",
            "Mend the Dataset, and ask for a retry: it is pinned to the version that is there then.",
        ),
        _CHECK_FAILS.means(
            "The model has no reference, or does not answer the rows of one; or captured rows cannot be read.",
            "Train the model again; or mend the file that the message names, and ask for a retry.",
        ),
    )
    DIGEST_MISMATCH = (
        "DigestMismatch",
        Trait.OF_PINNED_INPUTS,
        Trait.OF_MODEL,
        _INGEST_FAILS.means(
            "The downloaded file has another sha256 than spec.source.http.sha256; or stored bytes were changed.",
            "Correct the sha256; or restore the bytes, and ask for a retry.",
        ),
        _TRAINING_FAILS.means(
            "Stored bytes are not what their digest says.",
            "Restore the bytes, or have the Dataset read again; then ask for a retry.",
        ),
        _VERIFYING_FAILS.means(
            "Stored bytes are not what the digest says.",
            "Restore the bytes and ask for a retry; or train again, and make a ModelVersion of that run.",
        ),
        _CHECK_FAILS.means(
            "Stored bytes are not what their digest says.",
            "Restore the bytes, and ask for a retry; or train the model again.",
        ),
    )
    DEADLINE_EXCEEDED = (
        "DeadlineExceeded",
        _INGEST_FAILS.means(
            "The sync took longer than an hour. It is tried again.",
            "Deliver in smaller parts; then wait, or ask for a retry.",
        ),
        _TRAINING_FAILS.means(
            "Training took longer than spec.activeDeadlineSeconds.", "Make a new run with a longer deadline."
        ),
        _VERIFYING_FAILS.means(
            "The verification took longer than 600 s. It is tried again.",
            "Wait, or ask for a retry; if it happens again, train a smaller model.",
        ),
        _CHECK_FAILS.means("The check took longer than 1800 s.", "Use a smaller spec.window.maxSamples."),
    )
    OUT_OF_MEMORY = (
        "OOMKilled",
        _INGEST_FAILS.means(
            "The pod needed more memory than its 3 GiB.", "Deliver fewer rows or columns, and ask for a retry."
        ),
        _TRAINING_FAILS.means(
            "Training needed more memory than its limit.", "Make a new run with more spec.resources.limits.memory."
        ),
        _VERIFYING_FAILS.means(
            "The verifying pod needed more memory than its 2 GiB, or a server more than its limit.",
            "Train a smaller model, or raise the stage's resources in spec.promotion.",
        ),
        _CHECK_FAILS.means("The check needed more memory than its 2 GiB.", "Use a smaller spec.window.maxSamples."),
    )
    REPORT_MISSING = (
        "ReportMissing",
        Trait.OF_CLUSTER,
        _INGEST_FAILS.means(
            "The pod left no report. It is tried again.", "Read the pod's log; then wait, or ask for a retry."
        ),
        _TRAINING_FAILS.means(
            "The pod left no report; it may have been lost. It is tried again, three times in all.",
            "Read the pod's log if it stays: is the image a workload image of this release? Then ask for a retry.",
        ),
        _VERIFYING_FAILS.means(
            "The verifying pod left no report. It is tried again.", "Read the pod's log; then wait, or ask for a retry."
        ),
        _CHECK_FAILS.means(
            "The pod left no report; the next check tries again.", "Read the pod's log; then wait, or ask for a retry."
        ),
    )
    BACKOFF_LIMIT_EXCEEDED = (
        "BackoffLimitExceeded",
        _INGEST_FAILS.means(
            "The pod failed and left no report. It is tried again.",
            "Read the pod's log; then wait, or ask for a retry.",
        ),
        _TRAINING_FAILS.means(
            "The pod failed as often as spec.backoffLimit allows, and left no report.",
            "Read the pod's log; then ask for a retry.",
        ),
        _VERIFYING_FAILS.means(
            "The verifying pod failed and left no report.", "Read the pod's log; then wait, or ask for a retry."
        ),
        _CHECK_FAILS.means(
            "The pod failed and left no report; the next check tries.",
            "Read the pod's log; then wait, or ask for a retry.",
        ),
    )
    NOTHING_NEW = (
        "NothingNew",
        _Place(("TrainingRun",), "True", ConditionType.SUCCEEDED).means(
            "The model is, byte for byte, the one that serves or is about to (or one that was withdrawn): no "
            "version is made of it."
        ),
        _ACTION.means(
            (
                "The same run on the same data gave the model that serves. The Dataset is looked at again, and "
                "makes a run if its content has changed."
            ),
            "Deliver new data, or edit the template.",
        ),
    )
    GATES_PASSED = (
        "GatesPassed",
        _Place(("TrainingRun",), "Unknown", ConditionType.GATES_PASSED).means(
            "All gates hold; with Ready=Unknown the ModelVersion is being made."
        ),
        _Place(("ModelVersion",), "", ConditionType.GATES_PASSED, ConditionType.AVAILABLE).means(
            "The gates of all stages hold."
        ),
    )
    GATES_FAILED = (
        "GatesFailed",
        _Place(("TrainingRun",), "False", ConditionType.GATES_PASSED).means(
            "A gate does not hold; nothing is registered.",
            "See the figures in the message; train otherwise, or make a run with another gate.",
        ),
        _Place(("ModelVersion",), "False", ConditionType.GATES_PASSED, ConditionType.AVAILABLE).means(
            (
                "A stage's gate does not hold (LatencyTooHigh: the p99 is above it); the version stays before that "
                "stage."
            ),
            "Edit the gate in spec.promotion, or make a new version.",
        ),
    )
    VERIFYING = (
        "Verifying",
        _Place(("TrainingRun",), "Unknown", ConditionType.REPRODUCIBLE).means(
            "It is trained a second time, to compare the digests.", "Wait."
        ),
        _Place(("ModelVersion",), "Unknown", ConditionType.ARTIFACT_VERIFIED, ConditionType.AVAILABLE).means(
            "Bytes, recorded answers and speed are being checked.", "Wait."
        ),
    )
    OUTPUT_INVALID = (
        "OutputInvalid",
        Trait.OF_MODEL,
        _TRAINING_FAILS.means(
            "Your container left no valid model or metrics; or the numbers of the model's versions are used up.",
            "Mend what the message names in the container's outputs, and make a new run.",
        ),
        _VERIFYING_FAILS.means(
            "model.json, golden.json and the model file contradict each other.",
            "Train again, and make a ModelVersion of that run.",
        ),
    )
    FORMAT_FORBIDDEN = (
        "FormatForbidden",
        Trait.OF_MODEL,
        _TRAINING_FAILS.means(
            (
                "A file is no part of a model (a pickle, foreign bytes, custom operators), points outside of "
                "itself, or took more memory or time than a model may."
            ),
            "Write ONNX, treelite or skops instead; export a damaged one again.",
        ),
        _VERIFYING_FAILS.means(
            (
                "A file is no part of a model (a pickle, foreign bytes, custom operators), points outside of "
                "itself, or took more memory or time than a model may."
            ),
            "Make a version of an artifact in ONNX, treelite or skops.",
        ),
    )
    UNTRUSTED_TYPE = (
        "UntrustedType",
        Trait.OF_MODEL,
        _TRAINING_FAILS.means(
            "An estimator has a part that is not on the list of types that may be stored.",
            "Use an allowed estimator, or export to ONNX.",
        ),
        _VERIFYING_FAILS.means(
            "The skops file has a type that is not on the list.", "Use an allowed estimator, or ONNX."
        ),
    )
    INCOMPATIBLE = (
        "Incompatible",
        Trait.OF_PINNED_INPUTS,
        Trait.OF_MODEL,
        _TRAINING_FAILS.means(
            "The data or the champion was written by a newer release or with other libraries.",
            "Use the workload image of the newer release, or make them again with this one; then ask for a retry.",
        ),
        _VERIFYING_FAILS.means(
            "The model was written by a newer release, or by another skops.",
            "Serve it with that release, and ask for a retry; or train again.",
        ),
    )
    RUN_NOT_FOUND = (
        "TrainingRunNotFound",
        _VERIFYING_FAILS.means(
            "spec.source names no run of the namespace.", "Make that run, or a ModelVersion with the right name."
        ),
        _Place(("DriftMonitor",), "False", ConditionType.RETRAINING_TRIGGERED).means(
            "spec.trainingRunRef names no TrainingRun.", "Make the template, or correct the name."
        ),
    )

    # Of a Dataset.
    INGESTING = (
        "Ingesting",
        _Place(("Dataset",), "True Unknown", ConditionType.VERSIONED).means(
            "A sync of the source is under way or due.", "Wait."
        ),
    )
    VERSIONED = (
        "Versioned",
        _Place(("Dataset",), "True", ConditionType.VERSIONED).means("The current version is good."),
    )
    UNCHANGED = (
        "Unchanged",
        _Place(("Dataset",), "True", ConditionType.VALIDATED).means("The newest sync found the same content."),
    )
    VALIDATED = (
        "Validated",
        _Place(("Dataset",), "", ConditionType.VALIDATED).means("The newest delivery met the contract and the rules."),
    )
    RETAINED = (
        "Retained",
        _Place(("Dataset",), "", ConditionType.WITHIN_RETENTION).means(
            "The versions that spec.retention takes are gone, but for those that the message names with what needs "
            "them."
        ),
    )
    REMOVING = (
        "Removing",
        _Place(("Dataset",), "", ConditionType.WITHIN_RETENTION).means(
            "Versions are removed: no run can use them any more, their bytes go from the store next.", "Wait."
        ),
    )
    REMOVAL_FAILED = (
        "RemovalFailed",
        _Place(("Dataset",), "", ConditionType.WITHIN_RETENTION).means(
            "The bytes of removed versions could not be removed from the store. It is tried again.",
            "Mend what the message names: with AccessDenied, let the keys delete artifacts, as docs/store.md says.",
        ),
    )
    FRESH = (
        "Fresh",
        _Place(("Dataset",), "", ConditionType.FRESH).means("The newest data are no older than spec.freshness allows."),
    )
    DATA_STALE = (
        "DataStale",
        _Place(("Dataset",), "", ConditionType.FRESH).means(
            "The newest data are older than spec.freshness.maxAge allows. The version stays usable.",
            "Find out why nothing newer was delivered, or why it was not read: see Ready and spec.refresh.",
        ),
    )
    AGE_UNKNOWN = (
        "AgeUnknown",
        _Place(("Dataset",), "", ConditionType.FRESH).means(
            "Nothing says how old the data are: no good sync yet, a source that dates nothing, no value of the "
            "timestamp field, or a sync by an earlier release.",
            "Wait for the next sync; where nothing says when data were delivered, use spec.freshness.measure "
            "EventTime.",
        ),
    )
    NO_LIVE_MODEL = (
        "NoLiveModel",
        Trait.EXPECTED_AT_FIRST,
        _Place(("Dataset",), "False").means(
            "The source is captures of a model that never was live.",
            "Deliver rows in spec.source.captured.history, or make a ModelVersion of that model.",
        ),
    )
    REJECTED = (
        "Rejected",
        _INGEST_FAILS.means(
            "Rows break the contract of the fields or a rule, or there are too few of them.",
            "Mend the rule that the message names; or the data, and ask for a retry.",
        ),
    )
    SCHEMA_MISMATCH = (
        "SchemaMismatch",
        _INGEST_FAILS.means(
            "A column is missing, or a value has another type than its field.",
            "Mend spec.fields; or the file, and ask for a retry. The message names file, row and column.",
        ),
        _CHECK_FAILS.means(
            "A file of delivered labels lacks a column, or a value has another type than the model's label.",
            "Mend columns of the source in spec.labels.sources; or the file, and ask for a retry.",
        ),
    )
    FORMAT_ERROR = (
        "FormatError",
        _INGEST_FAILS.means(
            "The file is not of spec.format: damaged, of another encoding, too large, or it unpacks without end.",
            "Correct spec.format or spec.csv; or deliver it again, and ask for a retry.",
        ),
        _CHECK_FAILS.means(
            "A file of delivered labels is not of the format of its source: damaged, or another one.",
            "Correct format or csv of the source in spec.labels.sources; or deliver it again, and ask for a retry.",
        ),
    )
    SOURCE_NOT_FOUND = (
        "SourceNotFound",
        _INGEST_FAILS.means(
            "There is no such bucket, object or URL; or no such table or database.",
            "Correct spec.source, the message names prefixes like it; or deliver it, and ask for a retry.",
        ),
    )
    QUERY_INVALID = (
        "QueryInvalid",
        _INGEST_FAILS.means(
            "The database refuses the query: its SQL is wrong, it computes what cannot be, or it is no SELECT.",
            "Correct spec.source.sql.query, the message repeats the database's; or the rows, and ask for a retry.",
        ),
    )
    SOURCE_FORBIDDEN = (
        "SourceForbidden",
        _INGEST_FAILS.means(
            "The source lies where the artifact store keeps what it has, or around that.",
            "Deliver to another bucket or prefix; read captured requests by spec.source.captured.",
        ),
        _CHECK_FAILS.means(
            "A source of labels lies where the artifact store keeps what it has, or around that.",
            "Deliver to another bucket or prefix; labels that a model server took need no source but feedback.",
        ),
    )
    SOURCE_UNAVAILABLE = (
        "SourceUnavailable",
        _INGEST_FAILS.means(
            "The web server or the database does not answer, or not in time. It is tried again.",
            "Wait, or check the host and ask for a retry.",
        ),
        _CHECK_FAILS.means(
            "The web server of a source of labels does not answer, or not in time. The next check tries again.",
            "Wait, or check the host and ask for a retry.",
        ),
    )
    ADDRESS_FORBIDDEN = (
        "AddressForbidden",
        _INGEST_FAILS.means(
            "A URL leads to an address that is not public, or a database's host to one of the pod's own node or cloud: "
            "pods must not reach them.",
            (
                "Use a public address; or have the network allowed (in a cluster by MLOPS_HTTP_ALLOWED_NETWORKS in the "
                "chart's podEnvironment, on one machine by mlops run --allow-network), and ask for a retry."
            ),
        ),
        _CHECK_FAILS.means(
            "The URL of a source of labels leads to an address that is not public: pods must not reach it.",
            (
                "Use a public address; or have the network allowed (in a cluster by MLOPS_HTTP_ALLOWED_NETWORKS in the "
                "chart's podEnvironment, on one machine by mlops run --allow-network), and ask for a retry."
            ),
        ),
    )
    EXPRESSION_INVALID = (
        "ExpressionInvalid",
        _INGEST_FAILS.means(
            "An expression of spec.clean, spec.features or spec.validation cannot be parsed, or is not row by row.",
            "Correct the expression at the field path in the message.",
        ),
    )

    # Of a TrainingRun.
    TEMPLATE = (
        "Template",
        _Place(("TrainingRun",), "True").means("It is a template at rest; lastRun names the newest run made of it."),
    )
    RUN_PENDING = (
        "RunPending",
        _Place(("TrainingRun",), "Unknown").means(
            "An event of a trigger of the template is on record; its run is made next.",
            "Wait; or set spec.suspend to false, if the message says so.",
        ),
    )
    DATASET_NOT_FOUND = (
        "DatasetNotFound",
        _Place(("TrainingRun",), "False", ConditionType.DATASET_READY, ConditionType.SUCCEEDED).means(
            "There is no such Dataset in the namespace.",
            "Make it, and the run goes on; or make a run with the right spec.datasetRef.name.",
        ),
        _Place(("DriftMonitor",), "False").means(
            "There is no Dataset of the name in spec.labels.sources or spec.reference in the namespace.",
            "Make it, and the checks go on; or correct the name.",
        ),
    )
    DATASET_NOT_READY = (
        "DatasetNotReady",
        Trait.EXPECTED_AT_FIRST,
        _Place(("TrainingRun",), "False Unknown", ConditionType.DATASET_READY, ConditionType.SUCCEEDED).means(
            "The Dataset has no usable version yet; the message repeats why.",
            "Mend the Dataset as its own reason says; the run goes on by itself.",
        ),
        _Place(("DriftMonitor",), "False Unknown").means(
            "The Dataset that labels come from, or that the window is compared with, has no version yet.",
            "Wait; or mend the Dataset as its own reason says: the checks go on by themselves.",
        ),
    )
    DATASET_VERSION_NOT_FOUND = (
        "DatasetVersionNotFound",
        _Place(("TrainingRun",), "False", ConditionType.DATASET_READY, ConditionType.SUCCEEDED).means(
            "spec.datasetRef.version is none of the Dataset's versions.",
            "Make a run with one of the versions that the message lists.",
        ),
        _Place(("DriftMonitor",), "False").means(
            "spec.reference.datasetRef.version is none of the Dataset's versions.",
            "Correct it: the message lists them.",
        ),
    )
    DATASET_VERSION_REMOVED = (
        "DatasetVersionRemoved",
        Trait.OF_PINNED_INPUTS,
        _Place(
            ("TrainingRun",),
            "False",
            ConditionType.DATASET_READY,
            ConditionType.SUCCEEDED,
            ConditionType.REPRODUCIBLE,
        ).means(
            "The version that the run is to train on was removed by spec.retention of its Dataset: nobody can bring "
            "its rows back.",
            "Make a run with one of the versions that the message lists, or without spec.datasetRef.version. A run "
            "that names no version takes the current one when it is asked for a retry.",
        ),
        _Place(("DriftMonitor",), "False").means(
            "The version that the window is to be compared with was removed by spec.retention of its Dataset.",
            "Correct spec.reference.datasetRef: the message lists the versions that are there.",
        ),
    )
    WAITING_FOR_REFRESH = (
        "WaitingForRefresh",
        Trait.EXPECTED_AT_FIRST,
        _Place(("TrainingRun",), "Unknown", ConditionType.DATASET_READY, ConditionType.SUCCEEDED).means(
            "The Dataset's source was not synced since spec.datasetRef.notBefore; it is looked at for this run.",
            "Wait.",
        ),
    )
    DATASET_PINNED = (
        "DatasetPinned",
        _Place(("TrainingRun",), "", ConditionType.DATASET_READY).means("The version of the data is on record."),
    )
    RUNNING = (
        "Running",
        _Place(("TrainingRun",), "Unknown", ConditionType.SUCCEEDED).means(
            (
                "The training pod works, or waits for a node; of a template: its newest run, or the version of "
                "that, is under way."
            ),
            "Wait.",
        ),
    )
    SUCCEEDED = (
        "Succeeded",
        _Place(("TrainingRun",), "True", ConditionType.SUCCEEDED).means("The run is done."),
    )
    CACHED = (
        "Cached",
        _Place(("TrainingRun",), "", ConditionType.SUCCEEDED).means(
            "The result of a run with equal inputs is taken over; cachedFrom names it."
        ),
    )
    NOT_SERVING = (
        "NotServing",
        _Place(("TrainingRun",), "False").means(
            "Of a template: what its newest run made does not serve; the message repeats why.",
            (
                "Mend the ModelVersion as its own reason says; or edit the template, or ask for a retry, for "
                "another run."
            ),
        ),
    )
    METRIC_MISSING = (
        "MetricMissing",
        _Place(("TrainingRun",), "False", ConditionType.GATES_PASSED).means(
            "A gate names a metric that was not measured.",
            "Make a run whose gates name metrics that the message lists.",
        ),
    )
    REPRODUCIBLE = (
        "Reproducible",
        _Place(("TrainingRun",), "", ConditionType.REPRODUCIBLE).means(
            "The second execution gave the same model, byte for byte."
        ),
    )
    NOT_REPRODUCIBLE = (
        "NotReproducible",
        _Place(("TrainingRun",), "False", ConditionType.REPRODUCIBLE).means(
            "The second execution gave another model; nothing is registered.",
            "See the first file that differs; set every seed, or train without spec.reproducibility.verify.",
        ),
    )
    ENVIRONMENT_MISMATCH = (
        "EnvironmentMismatch",
        Trait.OF_PINNED_INPUTS,
        Trait.OF_CLUSTER,
        _TRAINING_FAILS.means(
            "The pod's libraries are not those that the run is pinned to: the release was changed meanwhile.",
            (
                "Use the workload image of the operator's release, and ask for a retry: it is pinned to what is "
                "there then."
            ),
        ),
    )
    ESTIMATOR_UNKNOWN = (
        "EstimatorUnknown",
        _TRAINING_FAILS.means(
            "The estimator is not on the list of those that may be trained.",
            "Make a run with one of the list; the message names the closest.",
        ),
    )
    PARAMETER_INVALID = (
        "ParameterInvalid",
        _TRAINING_FAILS.means(
            "There is no such parameter, its value is bad, or the grid has more combinations than maxTrials.",
            "Make a run with what the message says is allowed.",
        ),
    )
    TRAINING_FAILED = (
        "TrainingFailed",
        _TRAINING_FAILS.means(
            "scikit-learn could not fit, or your own container failed.",
            (
                "Read the message and the pod's log; make a new run with what they call for, or ask for a retry if "
                "it was not the recipe."
            ),
        ),
    )
    EXPORT_FAILED = (
        "ExportFailed",
        _TRAINING_FAILS.means(
            "No format that may be stored reproduces the model's answers.", "Use another estimator or other parameters."
        ),
    )

    # Of a ModelVersion.
    RUN_NOT_READY = (
        "TrainingRunNotReady",
        Trait.EXPECTED_AT_FIRST,
        _Place(("ModelVersion",), "False Unknown", ConditionType.ARTIFACT_VERIFIED, ConditionType.AVAILABLE).means(
            "The run has no model yet; the message repeats why.",
            "Wait; if the run failed, ask it for a retry, or make another run and a ModelVersion of it.",
        ),
    )
    VERIFIED = (
        "Verified",
        _Place(("ModelVersion",), "", ConditionType.ARTIFACT_VERIFIED, ConditionType.AVAILABLE).means(
            "The recorded answers are reproduced."
        ),
    )
    ARTIFACT_NOT_FOUND = (
        "ArtifactNotFound",
        Trait.OF_PINNED_INPUTS,
        Trait.OF_MODEL,
        _VERIFYING_FAILS.means(
            (
                "The store has no artifact of that digest, or no longer. Pods that answer stay; if none does, the "
                "newest other good version serves."
            ),
            "Restore the artifact and ask for a retry; or make a ModelVersion with the right digest, or train again.",
        ),
    )
    GOLDEN_FAILED = (
        "GoldenFailed",
        Trait.OF_MODEL,
        _VERIFYING_FAILS.means(
            "The model does not give its recorded answers, or has none.",
            "Serve it with the libraries that it was trained with, and ask for a retry; or train again.",
        ),
    )
    VERSION_CONFLICT = (
        "VersionConflict",
        _VERIFYING_FAILS.means(
            "An older ModelVersion of the model has the same number.",
            "Make a ModelVersion with another number, and delete this one.",
        ),
    )
    WITHDRAWN = (
        "Withdrawn",
        _Place(("ModelVersion",), "True", ConditionType.ARTIFACT_VERIFIED, ConditionType.AVAILABLE).means(
            "spec.withdrawn is true: it serves in no stage.", "Set spec.withdrawn to false to have it serve again."
        ),
    )
    APPROVED = (
        "Approved",
        _Place(("ModelVersion",), "", ConditionType.APPROVED).means(
            "Somebody has approved of this model in each stage that asks for it."
        ),
    )
    APPROVAL_WANTED = (
        "ApprovalWanted",
        _Place(("ModelVersion",), "False", ConditionType.APPROVED, ConditionType.AVAILABLE).means(
            "A stage asks that a person approves of the model, and nobody has whose approval counts: it does not serve "
            "there.",
            "Name the version to somebody of the group that the message says, who is no author of it: they run `mlops "
            "approve`.",
        ),
    )
    CANARY_RUNNING = (
        "CanaryRunning",
        _Place(("ModelVersion",), "Unknown", ConditionType.CANARY_HEALTHY, ConditionType.AVAILABLE).means(
            "It is tried beside the version that serves, step by step; the message says at which step.", "Wait."
        ),
    )
    CANARY_WAITING = (
        "CanaryWaiting",
        _Place(("ModelVersion",), "False", ConditionType.CANARY_HEALTHY, ConditionType.AVAILABLE).means(
            "Its canary goes on when something is there that the message names: requests or labels, for an analysis "
            "that cannot tell yet, or a pod that cannot start. Nothing is held against the version.",
            "Wait, or see to what the message names. An edit of canary.steps starts the canary again.",
        ),
    )
    CANARY_FAILED = (
        "CanaryFailed",
        _Place(("ModelVersion",), "False", ConditionType.CANARY_HEALTHY, ConditionType.AVAILABLE).means(
            "An analysis of its canary found it worse than the version that serves, by the numbers in the message, or "
            "its pods went down. It gets no requests any more.",
            "Read the message; then make a better version, or ask for a retry, which starts its canary again.",
        ),
    )
    PROGRESSING = (
        "Progressing",
        _Place(("ModelVersion",), "Unknown", ConditionType.AVAILABLE).means(
            "Pods are starting, or a newer version is rolled out first.", "Wait."
        ),
    )
    SERVING = (
        "Serving",
        _Place(("ModelVersion",), "True", ConditionType.AVAILABLE).means("It is live."),
    )
    NOT_RUNNING = (
        "NotRunning",
        _Place(("ModelVersion",), "False", ConditionType.AVAILABLE).means(
            "No `mlops run` works on the state folder, so nothing serves (shown by the command line only).",
            "Start `mlops run` again; with --keep-serving the servers stay up after it is done.",
        ),
    )
    SERVING_FAILED = (
        "ServingFailed",
        _Place(("ModelVersion",), "False", ConditionType.AVAILABLE).means(
            (
                "Its server is up and does not become ready within 120 s, or ends again and again without a word; "
                "if another good version is there, that one serves. Or a setting of the installation stops every "
                "server, which is tried again."
            ),
            "Read the pods' logs; then ask for a retry, edit spec.promotion or spec.capture, or make a new version.",
        ),
    )
    SUPERSEDED = (
        "Superseded",
        _Place(("ModelVersion",), "True", ConditionType.SUPERSEDED, ConditionType.AVAILABLE).means(
            "A newer version took over."
        ),
    )
    ROLLED_BACK = (
        "RolledBack",
        Trait.NEWS,
        _Place(("ModelVersion",), "True", ConditionType.ROLLED_BACK, ConditionType.AVAILABLE).means(
            (
                "A DriftMonitor found an older version better on what is asked now, and that one serves in the "
                "stage. Ends when a newer version serves there."
            ),
            "Read the monitor's report. To have it serve all the same, ask for a retry of this ModelVersion.",
        ),
        _ACTION.means(
            "An older version is better on the window, and serves again.",
            "Read the report. To undo it, ask for a retry of the version that was passed over.",
        ),
    )

    # Of a DriftMonitor.
    TARGET_NOT_FOUND = (
        "TargetNotFound",
        Trait.EXPECTED_AT_FIRST,
        _Place(("DriftMonitor",), "False").means(
            "The model has no version.", "Make a ModelVersion, or correct spec.targetRef.modelName."
        ),
    )
    TARGET_NOT_LIVE = (
        "TargetNotLive",
        Trait.EXPECTED_AT_FIRST,
        _Place(("DriftMonitor",), "False Unknown").means(
            "No version of the model is live in that stage; with Ready=Unknown one is on its way.",
            "See why its ModelVersions are not, or correct spec.targetRef.stage.",
        ),
    )
    WAITING_FOR_FIRST_CHECK = (
        "WaitingForFirstCheck",
        _Place(("DriftMonitor",), "True Unknown").means("The checks are scheduled; none has finished yet.", "Wait."),
    )
    NOT_A_TEMPLATE = (
        "NotATemplate",
        _Place(("DriftMonitor",), "False", ConditionType.RETRAINING_TRIGGERED).means(
            "The TrainingRun that spec.trainingRunRef names has no spec.triggers.", "Name a template instead."
        ),
    )
    GATES_FULL = (
        "GatesFull",
        _ACTION.means(
            "A recalibration has to pass a gate beside the template's, which has as many as a run may have.",
            "Replace one of the template's gates by the one that the message names, or take one out.",
        ),
    )
    RUN_CREATED = (
        "RunCreated",
        _ACTION.means("The verdict called for a run, and it is made."),
    )
    NO_ACTION = (
        "NoAction",
        _ACTION.means("No action names the verdict."),
    )
    IN_COOLDOWN = (
        "InCooldown",
        _ACTION.means("The last action was less than guard.cooldown ago.", "Wait."),
    )
    WEEKLY_LIMIT = (
        "WeeklyLimit",
        _ACTION.means("There were guard.maxRunsPerWeek runs in seven days.", "Wait, or raise the limit."),
    )
    CIRCUIT_OPEN = (
        "CircuitOpen",
        _ACTION.means(
            (
                "guard.maxRejectedChallengers runs in a row for this verdict led to no new version: it calls for no "
                "more."
            ),
            (
                "See why those runs were rejected; then edit the monitor, or ask for a retry: both close the "
                "circuit. One run is let through after guard.circuitResetAfter."
            ),
        ),
    )
    UNCONFIRMED = (
        "Unconfirmed",
        _ACTION.means("Fewer than guard.confirmations checks in a row came to this verdict.", "Wait."),
    )
    NO_OLDER_BETTER = (
        "NoOlderBetter",
        _ACTION.means(
            "No older version that could serve is shown to be better on the window; the message says which were tried.",
            "Have the template make a new version, by do: RollbackAndRebuild or by hand.",
        ),
    )
    ROLLBACK_UNDONE = (
        "RollbackUndone",
        _ACTION.means(
            "An older version is better on the window, and a person has undone a rollback of this version before.",
            "Set spec.withdrawn of the live version to true, if the older one is to serve.",
        ),
    )
    DATA_FAULTY = (
        "DataFaulty",
        _ACTION.means(
            "A DataQuality check found a fault that it has not found mended since: nothing is trained on such data.",
            (
                "Mend the delivery: the check says so by itself. If it is no fault, raise the check's limits, or take "
                "the check out of spec.checks."
            ),
        ),
    )
    LABELS_ASKED = (
        "LabelsAsked",
        Trait.NEWS,
        _ACTION.means(
            "The report names rows to label, in label-request.jsonl.",
            "Fill in each line's label, and send them to the feedback endpoint.",
        ),
    )
    NO_ROWS_TO_LABEL = (
        "NoRowsToLabel",
        _ACTION.means(
            "There is no row to ask for: all have labels, or so many as the budget allows were asked for.",
            "Send the labels that were asked for, or raise the action's budget.",
        ),
    )
    NOTIFIED = (
        "Notified",
        Trait.NEWS,
        _ACTION.means("The action for the verdict is Notify: it is said, and nothing is done.", "Read the report."),
    )
    ON_HOLD = (
        "OnHold",
        _ACTION.means("The action for the verdict is Hold: nothing is trained.", "Mend the data."),
    )
    RUN_ACTIVE = (
        "RunActive",
        _ACTION.means("A run of this monitor is not finished.", "Wait."),
    )
    CHECKED = (
        "Checked",
        _Place(("DriftMonitor",), "True", ConditionType.CHECKED, ConditionType.LABELS_AVAILABLE).means(
            "The newest check came to a verdict; of LabelsAvailable: enough rows have labels."
        ),
    )
    DETECTED = (
        "Detected",
        _Place(("DriftMonitor",), "", ConditionType.DATA_DRIFT, ConditionType.CONCEPT_DRIFT).means(
            "A check of that type detected.",
            "Read the report: `mlops report MONITOR`, of a cluster `mlops report DIGEST --store URL`.",
        ),
    )
    NOT_DETECTED = (
        "NotDetected",
        _Place(("DriftMonitor",), "", ConditionType.DATA_DRIFT, ConditionType.CONCEPT_DRIFT).means(
            "No check of that type detected."
        ),
    )
    INCONCLUSIVE = (
        "Inconclusive",
        Trait.EXPECTED_AT_FIRST,
        _Place(
            ("DriftMonitor",), "", ConditionType.DATA_DRIFT, ConditionType.CONCEPT_DRIFT, ConditionType.LABELS_AVAILABLE
        ).means(
            "It cannot be told; of LabelsAvailable: too few rows have labels.", "Send labels, or widen spec.window."
        ),
    )
    CONFIGURATION_INVALID = (
        "ConfigurationInvalid",
        _CHECK_FAILS.means(
            "A check's metric does not fit the model, the window spans nothing, or a Dataset does not fit.",
            "Correct spec.checks, spec.window, spec.labels or spec.reference as the message says.",
        ),
    )


# A reason as it was read: in a status that another release wrote, in a report from a pod of a user's own image.
Reported = NewType("Reported", str)
# What may stand in a condition.
Word = Reason | Reported

REASONS: tuple[Explanation, ...] = tuple(explanation for reason in Reason for explanation in reason.explanations)


def having(trait: Trait) -> frozenset[Reason]:
    """Return the reasons with a trait; a word that was read from a status or a report equals its member."""
    return frozenset(reason for reason in Reason if trait in reason.traits)


def explain(reason: str) -> tuple[Explanation, ...]:
    """Return what is known of a reason, in any writing of it; the kinds of several explanations differ."""
    return tuple(each for each in REASONS if each.reason.lower() == reason.lower())


def of_kind(kind: str) -> tuple[Explanation, ...]:
    """Return the explanations for one kind, by reason."""
    return tuple(sorted((each for each in REASONS if kind in each.kinds), key=lambda each: each.reason))
