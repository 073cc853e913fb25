"""The objects on disk: one SQLite file in the state folder, one transaction per write, one writer."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from mlops.local.errors import StateInUse, StateUnreadable
from mlops.planning.plan import Key, Manifest

_FILE = "objects.sqlite"
_LOCK = "lock"
_ATTEMPTS, _PAUSE = 5, 0.02
_FORMAT = 1
_SCHEMA = """
CREATE TABLE objects (
    sequence INTEGER PRIMARY KEY,
    kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    manifest TEXT NOT NULL, applied TEXT NOT NULL,
    UNIQUE (kind, namespace, name)
);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Record:
    """An object, and what each field manager last applied to it."""

    manifest: Manifest
    applied: dict[str, Manifest] = field(default_factory=dict)


class Records:
    """The writer's side; exclusive. A kill at any time leaves each write either done or not done."""

    def __init__(self, state: Path) -> None:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _lock(state)
        self._database = sqlite3.connect(state / _FILE, isolation_level=None)
        try:
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.DatabaseError as error:
            self.close()
            raise StateUnreadable(
                f"{state / _FILE} is no file of this program ({error}): name another folder with --state"
            ) from error
        if version not in (0, _FORMAT):
            self.close()
            raise StateUnreadable(
                f"{state / _FILE} has format {version}, this program reads {_FORMAT}: use the program that wrote it, "
                "or name another folder with --state"
            )
        self._database.execute("PRAGMA journal_mode = WAL")
        # A kill of the process loses nothing; a power failure may lose the last writes, never the file.
        self._database.execute("PRAGMA synchronous = NORMAL")
        if version == 0:
            self._database.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_FORMAT}; COMMIT;")

    def load(self) -> list[Record]:
        """Return every object, in the order in which they were made."""
        rows = self._database.execute("SELECT manifest, applied FROM objects ORDER BY sequence")
        return [Record(json.loads(manifest), json.loads(applied)) for manifest, applied in rows]

    def put(self, key: Key, record: Record) -> None:
        """Write one object."""
        self._database.execute(
            "INSERT INTO objects (kind, namespace, name, manifest, applied) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (kind, namespace, name)"
            " DO UPDATE SET manifest = excluded.manifest, applied = excluded.applied",
            (*key, json.dumps(record.manifest), json.dumps(record.applied)),
        )

    def remove(self, key: Key) -> None:
        """Remove one object."""
        self._database.execute("DELETE FROM objects WHERE kind = ? AND namespace = ? AND name = ?", key)

    def write_time(self, timestamp: datetime) -> None:
        """Remember what a driven clock shows."""
        self._database.execute("INSERT OR REPLACE INTO facts VALUES ('time', ?)", (timestamp.isoformat(),))

    def read_time(self) -> datetime | None:
        """Return what a driven clock showed last, or None."""
        row = self._database.execute("SELECT value FROM facts WHERE name = 'time'").fetchone()
        return datetime.fromisoformat(row[0]) if row else None

    def close(self) -> None:
        """Release the folder."""
        self._database.close()
        os.close(self._lock)


def read_objects(state: Path) -> list[Manifest]:
    """Return the objects of a state folder, also while a run is active on it; none if there is no such folder."""
    return [record.manifest for record in read_records(state)[0]]


def read_records(state: Path) -> tuple[list[Record], datetime | None]:
    """Return the objects with what managers applied, and what a driven clock showed last; writes nothing.

    Raises StateUnreadable for objects that are there and cannot be read.
    """
    if not (state / _FILE).exists():
        return [], None
    try:
        return _read(state)
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            # The file is there and its first transaction is not: a run is just starting.
            return [], None
        # In WAL mode SQLite makes files beside its own, also for who only reads.
        raise StateUnreadable(
            f"the objects of {state} cannot be read ({error}): read them as the user whose folder it is, or name with "
            "--state a copy that you may write to"
        ) from error


def _read(state: Path) -> tuple[list[Record], datetime | None]:
    with closing(sqlite3.connect(f"{(state / _FILE).absolute().as_uri()}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT manifest, applied FROM objects ORDER BY sequence").fetchall()
        time = database.execute("SELECT value FROM facts WHERE name = 'time'").fetchone()
    records = [Record(json.loads(manifest), json.loads(applied)) for manifest, applied in rows]
    return records, datetime.fromisoformat(time[0]) if time else None


def is_held(state: Path) -> bool:
    """Return whether a process has this folder to itself, as `mlops run` does until it ends, however that happens."""
    try:
        file = os.open(state / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _lock(state: Path) -> int:
    file = os.open(state / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for attempt in range(_ATTEMPTS):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError as error:
            # Who only looks whether the folder is in use holds it briefly.
            if attempt == _ATTEMPTS - 1:
                pid = int(os.read(file, 32) or 0)
                os.close(file)
                raise StateInUse(state, pid) from error
            time.sleep(_PAUSE)
    os.ftruncate(file, 0)
    os.write(file, str(os.getpid()).encode())
    return file
