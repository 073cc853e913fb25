"""Which approvals of people count, and what is said where one is wanted.

That nobody writes another name than their own, and that whoever approves is in the stage's group, is for the API
server's admission policy: a planner sees objects, and not who wrote them. What can be known of an object counts here
too: the stage, the model, and that no author approves of what is theirs.
"""

from __future__ import annotations

from collections.abc import Iterable

from mlops.api import labels
from mlops.api.approval import Approval, ApprovalRule
from mlops.api.base import ObjectMeta
from mlops.api.model_version import ModelVersion, Stage
from mlops.planning.liveness import artifact_of


def authors_of(metadata: ObjectMeta) -> tuple[str, ...]:
    """Return who wrote an object, as its annotation says; nobody if it says nothing."""
    return tuple(name for name in metadata.annotations.get(labels.AUTHORS, "").split(",") if name)


def handed_on(metadata: ObjectMeta) -> dict[str, str]:
    """Return the annotation of the authors for what is made of an object; nothing if it has none."""
    said = metadata.annotations.get(labels.AUTHORS)
    return {labels.AUTHORS: said} if said else {}


def approval_of(version: ModelVersion, stage: Stage, artifact: str | None) -> Approval | None:
    """Return the first approval of this model in a stage that counts; None if there is none, or none is asked for."""
    rule = stage.asks
    if rule is None:
        return None
    said = (each for each in version.spec.approvals if each.stage == stage.name)
    return next((each for each in said if _objection(version, rule, each, artifact) is None), None)


def unapproved(version: ModelVersion, artifact: str | None) -> tuple[Stage, ...]:
    """Return the stages that ask for an approval of this model and have none that counts."""
    stages = version.spec.promotion.stages
    return tuple(each for each in stages if each.asks is not None and approval_of(version, each, artifact) is None)


def is_approved(version: ModelVersion, stage: str) -> bool:
    """Return whether a version may serve in a stage as far as approvals go: one is there, or none is asked for."""
    return all(each.name != stage for each in unapproved(version, artifact_of(version)))


def wanted_in(version: ModelVersion, stage: Stage, artifact: str | None, *, is_enforced: bool) -> str:
    """Return whose approval is wanted in a stage that asks for one, how it is given, and whose does not count."""
    rule = stage.asks
    assert rule is not None
    command = f"mlops approve {version.spec.model_name} --version {version.metadata.name} --stage {stage.name}"
    said = f"{stage.name}: wants the approval of somebody {_who(version, rule)}: {command}"
    for each in version.spec.approvals:
        if each.stage == stage.name and (why := _objection(version, rule, each, artifact)) is not None:
            said += f". That of {each.user} does not count: {why}"
    return said if is_enforced else f"{said}. {NOT_ENFORCED}"


NOT_ENFORCED = "No admission policy holds people to it here: names and groups are not checked"


def _who(version: ModelVersion, rule: ApprovalRule) -> str:
    authors = authors_of(version.metadata)
    but = f" but its authors ({', '.join(authors)})" if authors else " but its author"
    return f"in group {rule.group}" + (but if rule.not_author else "")


def _objection(version: ModelVersion, rule: ApprovalRule, given: Approval, artifact: str | None) -> str | None:
    """Return why an approval does not count, if it does not."""
    if given.artifact != artifact:
        return f"it is of {labels.short(given.artifact, 16)}, and the model is {labels.short(artifact or '', 16)}"
    if rule.not_author and given.user in authors_of(version.metadata):
        return "an author does not approve of what is theirs"
    return None


def granted(version: ModelVersion, artifact: str | None) -> Iterable[tuple[Stage, Approval]]:
    """Yield the stages that ask for an approval and have one, with that."""
    for stage in version.spec.promotion.stages:
        if (given := approval_of(version, stage, artifact)) is not None:
            yield stage, given
