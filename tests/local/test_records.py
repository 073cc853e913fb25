"""Objects on disk, read by who may not write."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlops.cli.inspect import load
from mlops.cli.state import State
from mlops.local.errors import StateUnreadable
from mlops.local.records import Record, Records, read_objects
from mlops.planning.plan import Key

_NOBODY = 65534


@pytest.fixture
def state() -> Iterator[Path]:
    """A folder with one object, in a place that every user of this machine may read."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = Path(place) / "state"
        records = Records(folder)
        records.put(Key("Dataset", "default", "tiny"), Record({"kind": "Dataset", "metadata": {"name": "tiny"}}))
        records.close()
        for file in folder.iterdir():
            file.chmod(0o644)
        yield folder
        folder.chmod(0o755)


@contextmanager
def another_user(folder: Path) -> Iterator[None]:
    """Be somebody to whom a folder is read-only; root may write all the same."""
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


def test_objects_that_cannot_be_read_are_not_taken_for_none(state: Path) -> None:
    with another_user(state), pytest.raises(StateUnreadable, match=r"cannot be read .* read them as the user"):
        load(State(state))


def test_a_copy_of_a_read_only_folder_can_be_read(state: Path) -> None:
    """It is the way out that the message names."""
    with another_user(state), tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "copy"
        copy.mkdir()
        shutil.copy(state / "objects.sqlite", copy)
        assert [one["metadata"]["name"] for one in read_objects(copy)] == ["tiny"]


def test_a_file_of_another_form_is_not_taken_for_none(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "objects.sqlite") as database:
        database.execute("CREATE TABLE objects (name TEXT)")
    database.close()
    with pytest.raises(StateUnreadable, match="no such column: manifest"):
        read_objects(tmp_path)


def test_a_run_that_just_starts_has_no_objects_yet(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "objects.sqlite").close()
    assert read_objects(tmp_path) == []
