"""Who approves, as whoever decides knows them: the API server, or the operating system of this machine."""

from __future__ import annotations

import getpass
import grp
import json
import os
from dataclasses import dataclass

from mlops.api import labels
from mlops.api.kinds import InvalidObject, parse
from mlops.api.model_version import ModelVersion, Promotion
from mlops.api.training_run import TrainingRun
from mlops.cli import kubectl
from mlops.cli.errors import UserError
from mlops.planning.plan import Manifest


@dataclass(frozen=True)
class Person:
    """A user's name and groups."""

    name: str
    groups: frozenset[str]


def of_cluster() -> Person:
    """Return whom the API server takes the caller of kubectl for. Raises UserError."""
    said = kubectl.answer(
        ["auth", "whoami", "--output", "json"],
        does="asks the cluster who you are",
        instead="install it, or leave --cluster away to approve in the state folder",
    )
    try:
        user = json.loads(said)["status"]["userInfo"]
        return Person(str(user["username"]), frozenset(map(str, user.get("groups") or ())))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError("kubectl auth whoami: its answer names no user") from error


def of_machine() -> Person:
    """Return who runs this process. Raises UserError if the machine has no name for that user."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError) as error:
        raise UserError(f"this machine has no name for user {os.getuid()}: set the variable USER") from error
    return Person(name, frozenset(_named(os.getgroups())))


def _named(groups: list[int]) -> list[str]:
    names = []
    for number in groups:
        try:
            names.append(grp.getgrgid(number).gr_name)
        except KeyError:
            names.append(str(number))
    return names


def signed(manifest: Manifest) -> Manifest:
    """Return a manifest that is applied on this machine with its author, if a stage asks for somebody else's approval.

    Whoever runs is the author, as far as a machine without an API server knows.
    """
    annotations = manifest["metadata"].get("annotations") or {}
    if labels.AUTHORS in annotations or not _asks_for_another(manifest):
        return manifest
    metadata = {**manifest["metadata"], "annotations": {**annotations, labels.AUTHORS: of_machine().name}}
    return {**manifest, "metadata": metadata}


def _asks_for_another(manifest: Manifest) -> bool:
    if manifest["kind"] not in ("TrainingRun", "ModelVersion"):
        return False
    try:
        promotion = _promotion(manifest)
    except InvalidObject:
        # Whoever applies it says what is wrong.
        return False
    return promotion is not None and any(stage.asks is not None and stage.asks.not_author for stage in promotion.stages)


def _promotion(manifest: Manifest) -> Promotion | None:
    match parse(manifest):
        case ModelVersion() as version:
            return version.spec.promotion
        case TrainingRun() as run if run.spec.register_ is not None:
            return run.spec.register_.promotion
    return None
