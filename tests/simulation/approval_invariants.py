"""What must always hold of approvals: where a stage asks people, nothing serves that nobody approved of."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mlops.api import labels
from mlops.engine.cluster import labels_of, owners_of
from mlops.planning.plan import Key, Manifest
from tests.simulation.api_server.server import ApiServer, Change

Broken = tuple[str, str]


class ApprovalsKnown:
    """Remembers until when each model was approved where: an operator learns late that an approval was taken back."""

    def __init__(self, server: ApiServer, clock: Callable[[], float], unseen_seconds: float) -> None:
        self._server, self._clock, self._unseen = server, clock, unseen_seconds
        # By uid of the version, stage and model: approved until then, None: now.
        self._until: dict[tuple[str, str, str], float | None] = {}

    def note(self, version: Manifest) -> None:
        """Take in a version as it is now."""
        uid = version["metadata"]["uid"]
        valid = {(uid, stage, artifact) for stage, artifact in _approved(version)}
        for each, until in self._until.items():
            if each[0] == uid and until is None and each not in valid:
                self._until[each] = self._clock()
        self._until.update(dict.fromkeys(valid))

    def broken_by(self, change: Change) -> Broken | None:
        """Return how the operator's write of a Deployment or of a status lets in what nobody approved of."""
        if change.key.kind == "ModelVersion":
            before = set(((change.old or {}).get("status") or {}).get("stages") or ())
            status = change.new.get("status") or {}
            entered = [stage for stage in status.get("stages") or () if stage not in before]
            return next((said for stage in entered if (said := self._of(change.new, stage, status["artifact"]))), None)
        before, after = _shown(change.old), _shown(change.new)
        version = self._server.get(Key("ModelVersion", change.key.namespace, after[0]))
        if before == after or version is None:
            return None
        if version["metadata"]["uid"] not in {each["uid"] for each in owners_of(change.new)}:
            # It was made again: what belongs to the one before goes with that.
            return None
        return self._of(version, labels_of(change.new).get(labels.STAGE, ""), after[1])

    def holds_now(self, version: Manifest, stage: str, artifact: str) -> bool:
        """Return whether a version may serve in a stage as far as approvals go."""
        return stage not in _asking(version) or (stage, artifact) in set(_approved(version))

    def at_rest(self) -> Broken | None:
        """Return what serves without an approval when all has come to rest."""
        for deployment in self._server.list("Deployment"):
            name, artifact = _shown(deployment)
            stage = labels_of(deployment).get(labels.STAGE, "")
            version = self._server.get(Key("ModelVersion", deployment["metadata"]["namespace"], name))
            if version is not None and stage in _asking(version) and (stage, artifact) not in set(_approved(version)):
                return "OnlyTheApprovedServes", f"{name} serves {artifact} in {stage}, which nobody approves of"
        return None

    def _of(self, version: Manifest, stage: str, artifact: str) -> Broken | None:
        if stage not in _asking(version):
            return None
        key = (version["metadata"]["uid"], stage, artifact)
        if key in self._until:
            until = self._until[key]
            if until is None or self._clock() - until <= self._unseen:
                return None
        name = version["metadata"]["name"]
        return "OnlyTheApprovedServes", f"{name} serves {artifact} in {stage}, which nobody approves of"


def _shown(deployment: Manifest | None) -> tuple[str, str]:
    metadata = (deployment or {}).get("spec", {}).get("template", {}).get("metadata", {})
    name = metadata.get("labels", {}).get(labels.MODEL_VERSION, "")
    return str(name), str(metadata.get("annotations", {}).get(labels.ARTIFACT, ""))


def _asking(version: Manifest) -> dict[str, Manifest]:
    stages = (version["spec"].get("promotion") or {}).get("stages") or ()
    rules = {each["name"]: each.get("approval") or {"required": False} for each in stages}
    return {name: rule for name, rule in rules.items() if rule.get("required", True)}


def _approved(version: Manifest) -> Iterator[tuple[str, str]]:
    """Yield stage and model of each approval that is no author's."""
    authors = (version["metadata"].get("annotations") or {}).get("mlops.dev/authors", "").split(",")
    asking = _asking(version)
    for given in version["spec"].get("approvals") or ():
        rule = asking.get(given["stage"])
        if rule is not None and not (rule.get("notAuthor", True) and given["user"] in authors):
            yield given["stage"], given["artifact"]
