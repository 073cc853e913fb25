"""Old versions go from a state folder's store, and what a model was made of stays: the whole way, with real pods."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from mlops.store import NotFound, open_store
from tests.cli.project import MANIFESTS, mlops, rows

pytestmark = pytest.mark.slow

DATA, RUN = MANIFESTS.split("---\n")
RETAINING = DATA + "  retention: {keepVersions: 1}\n  freshness: {maxAge: 26h}\n"
PINNED = """\
apiVersion: mlops.dev/v1alpha1
kind: TrainingRun
metadata: {name: late}
spec:
  datasetRef: {name: tiny, version: 2}
  trainer: {estimator: {name: LogisticRegression}}
"""


def deliver(place: Path, number: int, *manifests: str, code: int = 0) -> None:
    """Put other rows into the source, and run these manifests."""
    rows(300, start=number).write_parquet(place / "rows.parquet")
    (place / "all.yaml").write_text("---\n".join(manifests))
    delivered = mlops(
        "put", place / "rows.parquet", "s3://raw/tiny/rows.parquet", "--force", "--state", place / "state"
    )
    assert delivered.returncode == 0, delivered.stdout + delivered.stderr
    ended = mlops("run", "-f", place / "all.yaml", "--state", place / "state")
    assert ended.returncode == code, ended.stdout + ended.stderr


def now(place: Path, kind: str, name: str) -> Any:
    return json.loads(mlops("get", kind, name, "-o", "json", "--state", place / "state").stdout)["status"]


def test_versions_that_nothing_needs_go_with_their_bytes(tmp_path: Path) -> None:
    """Of three versions a model keeps the first; the second is gone, and who asks for it is told which there are."""
    deliver(tmp_path, 1, RETAINING, RUN)
    deliver(tmp_path, 2, RETAINING)
    deliver(tmp_path, 3, RETAINING)
    store = open_store((tmp_path / "state" / "store").resolve().as_uri(), os.environ)
    three, two, one = now(tmp_path, "dset", "tiny")["history"]
    assert [bool((each.get("removed") or {}).get("erased")) for each in (three, two, one)] == [False, True, False]
    for number, each in enumerate((three, one)):
        store.get(each["artifact"], tmp_path / f"whole-{number}")
    with pytest.raises(NotFound):
        store.manifest(two["artifact"])
    used = {entry.sha256 for each in store.bucket.list("manifests/") for entry in store.manifest(_digest(each)).entries}
    assert {_digest(each) for each in store.bucket.list("blobs/")} == used, "no file is left that nothing has"
    said = {each["type"]: each for each in now(tmp_path, "dset", "tiny")["conditions"]}
    message = '2 versions in the store; version 1 stays for ModelVersion "tiny-v1"'
    assert (said["WithinRetention"]["status"], said["WithinRetention"]["message"]) == ("True", message)
    assert said["Fresh"]["status"] == "True"
    deliver(tmp_path, 3, RETAINING, PINNED, code=1)
    late = {each["type"]: each for each in now(tmp_path, "trun", "late")["conditions"]}
    assert late["Ready"]["reason"] == "DatasetVersionRemoved"
    assert late["Ready"]["message"].endswith("by its spec.retention; its versions: 1, 3")
    mlops("delete", "mver", "tiny-v1", "--force", "--state", tmp_path / "state")
    deliver(tmp_path, 3, RETAINING)
    assert all(each["removed"]["erased"] for each in now(tmp_path, "dset", "tiny")["history"][1:])
    assert not store.exists(one["artifact"])


def _digest(found: Any) -> str:
    return "sha256:" + found.key.rpartition("/")[2]
