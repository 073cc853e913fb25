"""`mlops put`: which files go where."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from mlops.cli.errors import UserError
from mlops.cli.put import local, service
from mlops.cli.put.cluster_keys import DEFAULT_SECRET, settings_of
from mlops.cli.scenario import Put
from mlops.cli.state import State


@dataclass(frozen=True)
class PutOptions:
    """What the command line says."""

    files: tuple[Path, ...]
    uri: str
    state: State
    s3: bool = False
    namespace: str | None = None
    secret: str | None = None
    endpoint: str | None = None
    force: bool = False


def put(options: PutOptions) -> Iterator[str]:
    """Deliver the files and yield a line for each. Raises UserError before the first one for what is wrong with any."""
    _check(options)
    if not (options.s3 or options.namespace or options.secret or options.endpoint):
        yield from _put_locally(options)
        return
    environ = dict(os.environ)
    if options.namespace or options.secret:
        secret = options.secret or DEFAULT_SECRET
        environ = settings_of(options.namespace or "default", secret, options.endpoint, os.environ)
    elif options.endpoint:
        environ["MLOPS_S3_ENDPOINT"] = options.endpoint
    places = [service.place_of(file, options.uri, environ, force=options.force) for file in options.files]
    for file, place in zip(options.files, places, strict=True):
        with _progress() as progress:
            task = progress.add_task(file.name, total=file.stat().st_size)
            service.deliver(file, place, partial(progress.advance, task))
        yield _line(file, place.uri, place.digest, is_new=place.is_new)


def _check(options: PutOptions) -> None:
    try:
        Put(file=str(options.files[0]), uri=options.uri)
    except ValueError as error:
        raise UserError(
            f"{options.uri!r}: the form is s3://bucket/key or s3://bucket/prefix/ , without .. , // , % or \\"
        ) from error
    if len(options.files) > 1 and not options.uri.endswith("/"):
        raise UserError(f"{options.uri!r} is one object, and these are {len(options.files)} files: end it with /")
    names = [file.name for file in options.files]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{', '.join(twice)}: two files of that name would lie at one place: put them one by one")
    for file in options.files:
        local.check_file(file)


def _put_locally(options: PutOptions) -> Iterator[str]:
    options.state.make_private()
    places = [local.place_of(file, options.uri, options.state) for file in options.files]
    for place, is_new in places:
        if is_new and place.is_file() and not options.force:
            raise UserError(f"{place} is there and holds something else: --force replaces it")
    for file, (place, is_new) in zip(options.files, places, strict=True):
        if is_new:
            local.deliver(file, options.uri, options.state)
        yield _line(file, str(place), local.sha256_of(file), is_new=is_new)


def _line(file: Path, place: str, digest: str, *, is_new: bool) -> str:
    return f"{file} -> {place}   {'' if is_new else 'is there already, '}sha256:{digest}"


def _progress() -> Progress:
    """Return a bar on the error stream, if that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
