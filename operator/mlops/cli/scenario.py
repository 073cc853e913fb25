"""`scenario.toml` beside manifests: what the world does in an example: files delivered, requests sent.

kubectl does not read it (it is no YAML), so the folder stays one that `kubectl apply -f` takes as it is.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_snake

from mlops.api.base import TEXT_RULES, Duration, ModelName, S3Uri, StageName
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
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}: save it as UTF-8") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not TOML: {error}") from error
    if "folder" in content:
        raise UserError(f"{path}: folder: unknown field")
    try:
        return Scenario.model_validate({**content, "folder": path.parent})
    except ValidationError as error:
        raise UserError(f"{path}: {_listed(error)}") from error


def beside(paths: tuple[str, ...]) -> Scenario | None:
    """Return the scenario of the manifests: `scenario.toml` beside them, and of NAME.yaml `NAME.scenario.toml`.

    What several deliver is delivered. Raises UserError if more than one of them does anything else.
    """
    found = list(dict.fromkeys(place for path in paths if path != "-" for place in _candidates(Path(path))))
    scenarios = [read(place) for place in found if place.is_file()]
    if len(scenarios) < 2:
        return scenarios[0] if scenarios else None
    acting = [one for one in scenarios if one.replay or one.images]
    if len(acting) > 1:
        listed = ", ".join(str(place) for place in found if place.is_file())
        raise UserError(f"several scenarios: {listed}; name one with --scenario")
    puts = tuple(Put(file=str((one.folder / put.file).resolve()), uri=put.uri) for one in scenarios for put in one.put)
    main = (acting or scenarios)[0]
    return Scenario(folder=main.folder, put=puts, replay=main.replay, images=main.images)


def _candidates(path: Path) -> list[Path]:
    """Return where the scenarios of a manifest, or of a folder of them, would be."""
    if path.is_dir():
        return [path / FILE_NAME, *sorted(path.glob(f"*.{FILE_NAME}"))]
    return [path.parent / FILE_NAME, path.with_suffix(f".{FILE_NAME}")]


def checked_replay(**fields: object) -> Replay:
    """Return the replay of these fields. Raises UserError naming the wrong one."""
    try:
        return Replay.model_validate(fields)
    except ValidationError as error:
        raise UserError(_listed(error)) from error


def _listed(error: ValidationError) -> str:
    """Return every wrong field with its value and what is allowed."""
    return "; ".join(f"{_path(each['loc'])}: {_message(each)}" for each in error.errors())


def _path(location: tuple[str | int, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)[1:]


def _message(detail: Any) -> str:
    match detail["type"]:
        case "extra_forbidden":
            return "unknown field"
        case "missing":
            return "Required value"
        case "string_pattern_mismatch":
            rules = TEXT_RULES.get(detail["ctx"]["pattern"], ())
            broken = [rule.message for rule in rules if not rule.check(detail["input"])]
            return f"Invalid value: {detail['input']!r}: {'; '.join(broken) or detail['msg']}"
    return f"Invalid value: {detail['input']!r}: {detail['msg']}"
