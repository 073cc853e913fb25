"""Reasons of any kind: what the engine finds wrong, and what every pod may report of the store."""

from __future__ import annotations

from mlops.api.reasons.explanation import ALL, explanations

ANY_KIND = (
    *explanations(
        ALL,
        "",
        (
            "InvalidSpec",
            "False",
            "The object does not parse: an older or newer schema had let it in.",
            "Edit it as the message says.",
        ),
        (
            "NameTaken",
            "False",
            "The name of a child belongs to somebody else's object, which is not touched.",
            "Delete or rename one of the two.",
        ),
    ),
    *explanations(
        ALL,
        "Available",
        (
            "ChildRefused",
            "False",
            "The cluster refuses a child, by a quota or a policy perhaps; the message repeats why.",
            "Mend what the message names; it is tried again.",
        ),
        (
            "Unschedulable",
            "False",
            "No node fits a pod; the message repeats the scheduler's.",
            "Make room, or ask for less in the resources of the spec.",
        ),
        (
            "ImagePull",
            "False",
            "The image of a pod cannot be pulled.",
            "Correct the image, or give the nodes access to its registry.",
        ),
        (
            "ContainerConfig",
            "False",
            "A container cannot be made: a Secret, a user or a command that is not there.",
            "Mend what the message names.",
        ),
    ),
    *explanations(
        ALL,
        "Validated Succeeded Reproducible ArtifactVerified Checked Available",
        (
            "StoreUnavailable",
            "False",
            "The store does not answer. It is tried again; a drift check tries at its next time.",
            "Wait; check the store's endpoint and the network policy.",
        ),
        (
            "BucketMissing",
            "False",
            "There is no such bucket, or no folder where the store should be. It is tried again; a drift check tries "
            "at its next time.",
            "Make the bucket, mount the volume, or correct the store's address; then wait, or ask for a retry.",
        ),
        (
            "AccessDenied",
            "False",
            "The store, or the source, refuses the credentials. It is tried again, a drift check at its next time.",
            "Check keys and policy; then wait, or ask for a retry.",
        ),
        (
            "CredentialsMissing",
            "False",
            "A Secret with the keys is not there or lacks some. It is tried again.",
            "Make the Secret, or mend it; the message names it.",
        ),
        (
            "NotFound",
            "False",
            "There is no such artifact or object in the store.",
            "Restore it, or make it again; then ask for a retry.",
        ),
        (
            "NoSpace",
            "False",
            "The store's disk is full, or its quota is used up. It is tried again.",
            "Free space in the store; then wait, or ask for a retry.",
        ),
        (
            "CertificateUntrusted",
            "False",
            "The store's TLS certificate does not lead to a known authority. It is tried again.",
            "Name the authority's PEM bundle in MLOPS_S3_CA_FILE, or give it in MLOPS_S3_CA; then wait, or ask for a "
            "retry.",
        ),
        (
            "AddressInvalid",
            "False",
            "The store's address, a bucket or a digest cannot be used as written.",
            "Correct what the message names; then ask for a retry.",
        ),
        (
            "PathForbidden",
            "False",
            "A path or key could name something outside of its place.",
            "Rename the object that the message names; then ask for a retry.",
        ),
        (
            "ManifestInvalid",
            "False",
            "What lies under a digest is no manifest of an artifact.",
            "Restore it, or make the artifact again; then ask for a retry.",
        ),
        (
            "TargetOccupied",
            "False",
            "The folder to write to holds something else already.",
            "Empty the folder that the message names, or name another; then ask for a retry.",
        ),
        (
            "RequestRefused",
            "False",
            "The store understood a request and refused it for a reason of its own.",
            "See the service's own words in the message, mend what they name, and ask for a retry.",
        ),
        (
            "InternalError",
            "False",
            "The program met what it did not foresee, in the data perhaps; the message and the pod's log say what.",
            "Read the pod's log; change the data or the spec, and report the mistake.",
        ),
        (
            "TaskInvalid",
            "False",
            "The pod does not understand its task: operator and image are of different releases.",
            "Use the workload image of the operator's release; then ask for a retry.",
        ),
    ),
    # A check of drift opens nothing in a process of its own.
    *(
        each
        for kind, types in (
            ("Dataset", "Validated"),
            ("TrainingRun", "Succeeded Reproducible"),
            ("ModelVersion", "ArtifactVerified"),
        )
        for each in explanations(
            (kind,),
            types,
            (
                "Interrupted",
                "False",
                "The process in which a model or a file is opened was killed, or had too little processor time on a "
                "busy node. It says nothing about the model or file, and is tried again.",
                "Wait, or make room on the node; then ask for a retry.",
            ),
        )
    ),
)
