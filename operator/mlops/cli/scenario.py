"""`scenario.toml` beside manifests: what the world does in an example: files delivered, requests sent.

kubectl does not read it (it is no YAML), so the folder stays one that `kubectl apply -f` takes as it is.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_snake

from mlops.api.base import Duration, ModelName, S3Uri, StageName
from mlops.cli.errors import UserError

FILE_NAME = "scenario.toml"


def _kebab(name: str) -> str:
    return to_snake(name).replace("_", "-")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=_kebab, populate_by_name=True)


class Put(_Part):
    """A file that is delivered to a bucket before anything runs."""

    file: str
    uri: S3Uri


class Replay(_Part):
    """Rows of a file sent as requests in the order of their time, their labels later."""

    file: str
    model: ModelName
    stage: StageName = "production"
    # Columns of the file. Every input of the served model must be a column too.
    id: str
    time: str
    label: str | None = None
    label_delay: Duration = "0s"
    limit: Annotated[int, Field(ge=1)] | None = None


class Scenario(_Part):
    """A whole scenario; file names are relative to its folder."""

    folder: Path
    put: tuple[Put, ...] = ()
    replay: Replay | None = None
    # The folder that stands for an image of the user's own: its commands run there, as processes.
    images: dict[str, str] = {}


def read(path: Path) -> Scenario:
    """Return the scenario in `path`. Raises UserError naming the field."""
    try:
        content = tomllib.loads(path.read_text())
        return Scenario.model_validate({**content, "folder": path.parent})
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not TOML: {error}") from error
    except ValidationError as error:
        listed = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UserError(f"{path}: {listed}") from error


def beside(paths: tuple[str, ...]) -> Scenario | None:
    """Return the scenario in the first of the folders that has one."""
    for path in paths:
        candidate = Path(path) / FILE_NAME
        if candidate.is_file():
            return read(candidate)
    return None


def checked_replay(**fields: object) -> Replay:
    """Return the replay of these fields. Raises UserError naming the wrong one."""
    try:
        return Replay.model_validate(fields)
    except ValidationError as error:
        raise UserError("; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())) from error
