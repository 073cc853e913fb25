"""What commands share: options, and how examples stand below a command's help."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from pydantic import TypeAdapter, ValidationError

from mlops.api.base import Duration, parse_duration
from mlops.cli.errors import UserError
from mlops.cli.state import default_folder


def examples(*lines: str) -> str:
    """Return an epilog of example lines."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


STATE = click.option(
    "--state",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=default_folder,
    help="The state folder.  [default: mlops in your data folder, or $MLOPS_STATE]",
)
NAMESPACE = click.option("-n", "--namespace", help="Only this namespace.")
ONE_NAMESPACE = click.option("-n", "--namespace", default="default", show_default=True)
MANIFESTS = click.option(
    "-f", "--filename", "paths", multiple=True, required=True, help="A manifest, a folder of them, or -."
)


def timestamp(text: str | None) -> datetime | None:
    """Return what --at says, in UTC unless it names an offset. Raises UserError for what is no timestamp."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"--at {text!r}: no timestamp: write one such as 2026-01-31T12:00:00Z") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def span(text: str, option: str) -> timedelta:
    """Return a length of time such as `7d` or `1d12h`. Raises UserError for another form."""
    try:
        return parse_duration(TypeAdapter(Duration).validate_python(text))
    except ValidationError as error:
        raise UserError(f"{option} {text!r}: no length of time: write one such as 7d, 12h or 0s") from error


def pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    """Return NAME=VALUE texts as a mapping. Raises UserError for another form."""
    found = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not value:
            raise UserError(f"{option} {text!r}: the form is NAME=VALUE")
        found[name] = value
    return found
