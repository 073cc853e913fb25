"""From the words of a command line to the task of a pod that scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mlops.api import tasks
from mlops.api.dataset import Dataset
from mlops.api.file_formats import FileFormat
from mlops.api.kinds import InvalidObject, parse
from mlops.cli.errors import UserError
from mlops.cli.predict.batch_options import BatchOptions
from mlops.cli.predict.choosing import ChosenVersion
from mlops.planning.plan import Manifest

_VERSION_OF: Final = "dataset:"
_S3: Final = "s3://"


def task_for(
    options: BatchOptions, format: FileFormat | None, version: ChosenVersion, objects: Sequence[Manifest]
) -> tasks.ScoreTask:
    """Return the task. Raises UserError naming what cannot be used."""
    if not options.into:
        raise UserError("--into: say where the answers go: a folder, or s3://bucket/prefix/")
    namespace = version.version.metadata.namespace
    rows = _rows(str(options.batch), options, objects, namespace)
    if rows.dataset is not None and (format or options.dataset):
        raise UserError(f"--batch {options.batch}: a version of a Dataset has its own format and contract: say neither")
    known = _dataset(options.dataset, objects, namespace) if options.dataset else version.dataset
    spec = version.version.spec
    return tasks.ScoreTask(
        namespace=namespace,
        model_name=spec.model_name,
        version=spec.version,
        object_name=version.version.metadata.name,
        artifact=version.artifact,
        input=rows,
        output=_place(options.into, options),
        spec=known.spec if known is not None and rows.dataset is None else None,
        format=format,
        columns=options.columns or "keys",
        on_invalid=options.on_invalid or "refuse",
        part_rows=options.part_rows or tasks.PART_ROWS,
    )


def _rows(text: str, options: BatchOptions, objects: Sequence[Manifest], namespace: str) -> tasks.ScoredInput:
    if text.startswith(_VERSION_OF):
        name, _, number = text.removeprefix(_VERSION_OF).partition("@")
        return tasks.ScoredInput(dataset=_pinned(_dataset(name, objects, namespace), number))
    if text.startswith(_S3):
        return tasks.ScoredInput(uri=text)
    if options.manifest:
        raise UserError(f"--batch {text}: a pod has no files of its own: say s3://bucket/key or s3://bucket/prefix/")
    path = Path(text)
    if path.is_dir():
        return tasks.ScoredInput(uri=f"{path.resolve().as_uri()}/")
    if not path.is_file():
        what = "is no file" if path.exists() else "there is no such file or folder"
        raise UserError(f"--batch {text}: {what}")
    return tasks.ScoredInput(uri=path.resolve().as_uri())


def _place(text: str, options: BatchOptions) -> str:
    if text.startswith(_S3):
        return text if text.endswith("/") else f"{text}/"
    if options.manifest:
        raise UserError(f"--into {text}: a pod's files go with it: say s3://bucket/prefix/")
    if Path(text).exists() and not Path(text).is_dir():
        raise UserError(f"--into {text}: is no folder")
    return f"{Path(text).resolve().as_uri()}/"


def _dataset(name: str, objects: Sequence[Manifest], namespace: str) -> Dataset:
    mine = [one for one in objects if one["kind"] == "Dataset" and one["metadata"]["namespace"] == namespace]
    for manifest in mine:
        if manifest["metadata"]["name"] == name:
            try:
                found = parse(manifest)
            except InvalidObject as error:
                raise UserError(str(error)) from error
            if isinstance(found, Dataset):
                return found
    names = ", ".join(sorted(one["metadata"]["name"] for one in mine)) or "none"
    raise UserError(f"there is no Dataset {name!r} in namespace {namespace!r}; there are {names}")


def _pinned(dataset: Dataset, number: str) -> tasks.PinnedDataset:
    """Return a version of a Dataset: the current one, or the one of this number."""
    name, status = dataset.metadata.name, dataset.status
    there = {one.version: one for one in status.history if one.removed is None}
    wanted = number or str(status.version)
    for one in there.values():
        if str(one.version) == wanted:
            return tasks.PinnedDataset(name=name, version=one.version, digest=one.digest, artifact=one.artifact)
    listed = ", ".join(map(str, sorted(there))) or "none yet"
    raise UserError(f"Dataset {name!r} has no version {wanted if number else 'yet'}; its versions are {listed}")
