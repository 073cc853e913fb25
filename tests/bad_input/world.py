"""A folder of a user's full of mistakes that only the data, another object or the user's code shows."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from mlops.cli.yaml_written import written
from tests.cli.project import rows

API = {"apiVersion": "mlops.dev/v1alpha1"}
FIELDS = [{"name": "a", "type": "float64"}, {"name": "y", "type": "string", "role": "label"}]
# The user's own code; which mistake it makes is its argument. A pickle that is read would make the file `ran`.
TRAINER = """\
import json, os, pathlib, pickle, sys
ran = pathlib.Path(__file__).with_name("ran")
class Payload:
    def __reduce__(self):
        return pathlib.Path.touch, (ran,)
outputs = pathlib.Path(os.environ["MLOPS_OUTPUTS"])
mistake, *rest = sys.argv[1:]
print("arguments:", json.dumps(rest), "variables:", sorted(n for n in os.environ if n.startswith("MLOPS_")))
if mistake == "exit":
    sys.exit(3)
if mistake == "pickle-as-onnx":
    (outputs / "model.onnx").write_bytes(pickle.dumps(Payload()))
if mistake == "pickle-as-skops":
    (outputs / "model.skops").write_bytes(pickle.dumps(Payload()))
if mistake == "pickle":
    (outputs / "model.pkl").write_bytes(pickle.dumps(Payload()))
if mistake == "link":
    (outputs / "model.onnx").symlink_to("/etc/passwd")
"""


def csv(text: str) -> dict[str, bytes]:
    return {"rows.csv": text.encode()}


def table(count: int = 40, **changes: Any) -> pl.DataFrame:
    frame = rows(count).select("a", "y")
    return frame.with_columns(**changes)


def good_csv() -> str:
    return table().write_csv()


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


@dataclass(frozen=True)
class Case:
    """An object, the files that it reads, and what its Ready condition has to say."""

    id: str
    kind: str
    spec: dict[str, Any]
    reason: str
    message: str
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return the object's name."""
        return self.id.split(" ")[0]

    @property
    def manifest(self) -> dict[str, Any]:
        """Return the object as the user writes it."""
        return API | {"kind": self.kind, "metadata": {"name": self.name}, "spec": self.spec}


def dataset(id: str, reason: str, message: str, files: dict[str, bytes] | None = None, **spec: Any) -> Case:
    source = {"s3": {"uri": f"s3://raw/{id.split(' ')[0]}/"}}
    return Case(
        id, "Dataset", {"source": source, "format": "csv", "fields": FIELDS} | spec, reason, message, files or {}
    )


def http(id: str, url: str, message: str = "") -> Case:
    return dataset(id, "AddressForbidden", message, source={"http": {"url": url, "sha256": "0" * 64}})


def run(id: str, reason: str, message: str, trainer: dict[str, Any], **spec: Any) -> Case:
    return Case(id, "TrainingRun", {"datasetRef": {"name": "good"}, "trainer": trainer} | spec, reason, message)


def estimator(name: str = "LogisticRegression", **params: str) -> dict[str, Any]:
    return {"estimator": {"name": name, "params": params}}


def own(*arguments: str) -> dict[str, Any]:
    return {"container": {"image": "example.com/own:1", "command": ["python", "train.py", *arguments]}}


def write(folder: Path, cases: list[Case]) -> Path:
    """Write the folder: manifests, files, scenario and the user's code."""
    folder.mkdir(parents=True)
    puts = []
    for case in cases:
        for name, content in case.files.items():
            file = folder / "data" / case.name / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            puts.append(
                f'[[put]]\nfile = {json.dumps(f"data/{case.name}/{name}")}\nuri = "s3://raw/{case.name}/{name}"\n'
            )
    (folder / "trainer").mkdir()
    (folder / "trainer" / "train.py").write_text(TRAINER)
    (folder / "scenario.toml").write_text("".join(puts) + '[images]\n"example.com/own:1" = "trainer"\n')
    (folder / "all.yaml").write_text("\n---\n".join(written(case.manifest) for case in cases))
    return folder
