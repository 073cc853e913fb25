"""Which version of a model answers: the live one of a stage, or one by its number."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from mlops.api import tasks
from mlops.api.dataset import Dataset
from mlops.api.kinds import InvalidObject, parse
from mlops.api.model_version import ModelVersion
from mlops.cli.errors import UserError
from mlops.planning.plan import Manifest


@dataclass(frozen=True)
class ChosenVersion:
    """A version that was verified, and what its inputs mean in a delivery."""

    version: ModelVersion
    stage: str | None
    dataset: Dataset | None

    @property
    def artifact(self) -> str:
        """Return the model's address in the store."""
        return str(self.version.status.artifact)

    @property
    def task(self) -> tasks.ServeTask:
        """Return the task of its server."""
        spec = self.version.spec
        return tasks.ServeTask(
            namespace=self.version.metadata.namespace,
            model_name=spec.model_name,
            version=spec.version,
            object_name=self.version.metadata.name,
            stage=self.stage or spec.promotion.stages[-1].name,
            artifact=self.artifact,
            capture=spec.capture,
        )

    @property
    def said(self) -> str:
        """Return its name, and where it is live."""
        live = ", ".join(self.version.status.stages)
        return f"{self.version.metadata.name} ({f'live in {live}' if live else 'not live'})"


def chosen(
    objects: Sequence[Manifest], model: str, namespace: str, stage: str | None, number: int | None
) -> ChosenVersion:
    """Return the version that is asked for. Raises UserError, naming what there is."""
    versions = _versions(objects, namespace)
    mine = [each for each in versions if each.spec.model_name == model]
    if not mine:
        raise _unknown_model(objects, versions, model, namespace)
    version = _numbered(mine, model, number) if number is not None else _live(mine, model, stage)
    if version.status.verification is None or version.status.artifact is None:
        raise UserError(
            f"{version.metadata.name} is not verified, and no server would have it: {_why(version)}"
            f"; {_verified(mine, model)}"
        )
    return ChosenVersion(version, stage or version.status.stage, _dataset(objects, version))


def _versions(objects: Sequence[Manifest], namespace: str) -> list[ModelVersion]:
    found = []
    for manifest in objects:
        if manifest["kind"] == "ModelVersion" and manifest["metadata"]["namespace"] == namespace:
            version = parse(manifest)
            if isinstance(version, ModelVersion):
                found.append(version)
    return sorted(found, key=lambda version: version.spec.version)


def _numbered(mine: Sequence[ModelVersion], model: str, number: int) -> ModelVersion:
    for version in mine:
        if version.spec.version == number:
            return version
    there = ", ".join(str(version.spec.version) for version in mine)
    raise UserError(f"--version {number}: {model} has no such version; there are {there}")


def _live(mine: Sequence[ModelVersion], model: str, stage: str | None) -> ModelVersion:
    stages = list(dict.fromkeys(each.name for version in reversed(mine) for each in version.spec.promotion.stages))
    if stage is not None and stage not in stages:
        raise UserError(
            f"--stage {stage}: {model} has no such stage{_hint(stage, stages)}; there are {', '.join(stages)}"
        )
    # The end of the way: who is asked for nothing else means what answers in production.
    wanted = stage or mine[-1].spec.promotion.stages[-1].name
    for version in reversed(mine):
        if wanted in version.status.stages:
            return version
    live = [(name, version) for version in mine for name in version.status.stages]
    elsewhere = ", ".join(f"{version.metadata.name} in {name} (--stage {name})" for name, version in live)
    newest = mine[-1]
    raise UserError(
        f"no version of {model} is live in {wanted}: {newest.metadata.name} is not: {_why(newest)}; "
        + (f"live are {elsewhere}" if live else _verified(mine, model))
    )


def _verified(mine: Sequence[ModelVersion], model: str) -> str:
    numbers = [version.spec.version for version in mine if version.status.verification and version.status.artifact]
    if not numbers:
        return f"no version of {model} is verified: mlops describe mver {mine[-1].metadata.name}"
    return f"verified are {', '.join(map(str, numbers))}: --version {numbers[-1]}"


def _why(version: ModelVersion) -> str:
    for condition in version.status.conditions:
        if condition.type == "Ready" and condition.status != "True":
            return f"{condition.reason}: {condition.message}" if condition.message else str(condition.reason)
    return "it is on its way"


def _unknown_model(
    objects: Sequence[Manifest], versions: Sequence[ModelVersion], model: str, namespace: str
) -> UserError:
    names = list(dict.fromkeys(version.spec.model_name for version in versions))
    for version in versions:
        if version.metadata.name == model:
            said = f"mlops predict {version.spec.model_name} --version {version.spec.version}"
            return UserError(f"{model!r} is a version, not a model: say {said}")
    elsewhere = sorted(
        {
            one["metadata"]["namespace"]
            for one in objects
            if one["kind"] == "ModelVersion" and one["spec"].get("modelName") == model
        }
    )
    if elsewhere:
        return UserError(f"no model {model!r} in namespace {namespace!r}; there is one in {', '.join(elsewhere)}: -n")
    if not names:
        return UserError(f"no model {model!r} here: no version was registered in namespace {namespace!r} yet")
    return UserError(f"no model {model!r}{_hint(model, names)}; there are {', '.join(names)}")


def _hint(word: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, names, n=1)
    return f", did you mean {close[0]}?" if close else ""


def _dataset(objects: Sequence[Manifest], version: ModelVersion) -> Dataset | None:
    """Return the Dataset that the version was trained on, if it is still there and can be read."""
    lineage = version.status.lineage or version.spec.lineage
    for manifest in objects:
        place = (manifest["kind"], manifest["metadata"]["namespace"], manifest["metadata"]["name"])
        if place == ("Dataset", version.metadata.namespace, lineage.dataset):
            try:
                found = parse(manifest)
            except InvalidObject:
                return None
            return found if isinstance(found, Dataset) else None
    return None
