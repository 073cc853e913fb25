"""Labels and names of what the operator makes."""

from __future__ import annotations

import hashlib

MANAGER = "mlops-operator"

DATASET = "mlops.dev/dataset"
RUN = "mlops.dev/run"
TEMPLATE = "mlops.dev/template"
MODEL = "mlops.dev/model"
MODEL_VERSION = "mlops.dev/model-version"
MONITOR = "mlops.dev/monitor"
STAGE = "mlops.dev/stage"
DIGEST = "mlops.dev/digest"
# An annotation of a run made of a template: which event made it, as JSON.
TRIGGER = "mlops.dev/trigger"
# An annotation: the address of the model that a child works with.
ARTIFACT = "mlops.dev/artifact"
# An annotation of a Deployment: the generation of the ModelVersion that it was made for. A Deployment that is available
# says nothing about an edit that has not reached it.
GENERATION = "mlops.dev/generation"
# An annotation of a Deployment: since when it is to serve what it serves.
SINCE = "mlops.dev/since"
# Labels of a Deployment and of its pods while they have a second version: its name, and which canary that is (hex
# digits); an annotation of these pods: percent of the requests that it answers.
CANDIDATE = "mlops.dev/candidate"
CANARY = "mlops.dev/canary"
WEIGHT = "mlops.dev/weight"
# Annotation of a Dataset: sync the source as of this timestamp, if that was not done since.
REQUESTED_AT = "mlops.dev/requested-at"
# An annotation of a Deployment whose number of pods something else sets: how many are to be ready at least.
LEAST_REPLICAS = "mlops.dev/least-replicas"
# Annotation of any of the four kinds: try again what failed. Another text each time; the status keeps the last one.
# Of a Deployment: the retry of its version that it was applied for.
RETRY = "mlops.dev/retry"
# Annotation of a TrainingRun and of a ModelVersion: who wrote it, names with commas between. An admission policy has
# people write no name but their own; the operator hands it from a template to its runs, from a run to its version.
AUTHORS = "mlops.dev/authors"
# Annotation of a Job: the timestamp that it looks at.
AS_OF = "mlops.dev/as-of"
# Annotations of a Job that a person made from a CronJob, by `kubectl create job --from`.
INSTANTIATED = "cronjob.kubernetes.io/instantiate"
MANAGED_BY = "app.kubernetes.io/managed-by"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"


def standard(component: str, instance: str, **own: str) -> dict[str, str]:
    """Return the recommended labels of a child; `own` are added with the prefix `mlops.dev/` (`_` becomes `-`)."""
    return {
        "app.kubernetes.io/name": component,
        INSTANCE: instance,
        COMPONENT: component,
        "app.kubernetes.io/part-of": "mlops",
        MANAGED_BY: MANAGER,
        **{f"mlops.dev/{key.replace('_', '-')}": value for key, value in own.items()},
    }


def unowned(component: str, **own: str) -> dict[str, str]:
    """Return the labels of a child without an owner: those of no instance.

    Argo CD takes what has the label of an instance and no owner for a part of the Application of that name, and prunes
    it, since it is not in Git.
    """
    return {label: value for label, value in standard(component, "", **own).items() if label != INSTANCE}


def short(digest: str, length: int = 10) -> str:
    """Return the first hex digits of a `sha256:…` digest (or of any hex text)."""
    return digest.removeprefix("sha256:")[:length]


def child_name(owner: str, suffix: str, *, limit: int = 63) -> str:
    """Return `<owner>-<suffix>`, at most `limit` characters: a longer owner is cut and marked by its hash.

    The same owner and suffix always give the same name, so a child made twice is the same child.
    """
    name = f"{owner}-{suffix}"
    if len(name) <= limit:
        return name
    mark = hashlib.sha256(owner.encode()).hexdigest()[:6]
    return f"{owner[: limit - len(suffix) - 8].rstrip('-')}-{mark}-{suffix}"
