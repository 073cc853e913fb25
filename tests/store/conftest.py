"""The places that a store can be in: the same tests run over a folder and over two real S3 services."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlops.store import Bucket, Store, open_store
from tests.servers.s3 import S3Server


@dataclass(frozen=True)
class Place:
    """Somewhere to keep a store: what a pod would be given, and the way behind the store's back."""

    url: str
    environ: dict[str, str]

    def open(self) -> Store:
        return open_store(self.url, self.environ)

    def process_environ(self) -> dict[str, str]:
        """For a process of its own."""
        return {**os.environ, **self.environ}


PLACES = [
    pytest.param("folder", id="folder"),
    pytest.param("minio_server", id="minio", marks=pytest.mark.s3),
    pytest.param("versitygw_server", id="versitygw", marks=(pytest.mark.s3, pytest.mark.long)),
]


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return Place(f"file://{tmp_path / 'store'}", {})
    server: S3Server = request.getfixturevalue(request.param)
    return Place(f"s3://{server.new_bucket()}/team-a", server.environ())


@pytest.fixture
def store(place: Place) -> Store:
    return place.open()


@pytest.fixture
def bucket(store: Store) -> Bucket:
    """What the store lies on, for tampering."""
    return store.bucket
