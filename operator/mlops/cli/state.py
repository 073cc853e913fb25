"""The state folder: everything that the loop on one machine knows and made."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from mlops.api.environment import Variable, Variables
from mlops.local.records import is_held

# What stands in a state folder; see below, `local.records` and `local.node`.
_OURS = frozenset(
    (
        "objects.sqlite", "objects.sqlite-wal", "objects.sqlite-shm", "lock", "replay.json", "sources.json",
        "store", "buckets", "logs", "reports", "requests", "pods",
    )
)  # fmt: skip


class CommandSettings(Variables):
    """What the command line reads from its environment, beside the keys of a store."""

    state: Annotated[
        Path | None, Variable("MLOPS_STATE", "the state folder, without `--state`", "`mlops` in your data folder")
    ] = None
    data_home: Annotated[
        Path | None, Variable("XDG_DATA_HOME", "your data folder, but on macOS", "`~/.local/share`")
    ] = None
    server_token: Annotated[
        str,
        Field(repr=False),
        Variable(
            "MLOPS_SERVER_TOKEN",
            "the API key or token that a model server is asked with, by `mlops predict --url` and replays",
        ),
    ] = ""


def server_headers() -> dict[str, str]:
    """Return the headers of a request to a model server."""
    token = CommandSettings.read(os.environ).server_token
    return {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})


def default_folder() -> Path:
    """Return the folder for this user's data, by the platform's custom."""
    settings = CommandSettings.read(os.environ)
    if settings.state:
        return settings.state
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = settings.data_home or Path.home() / ".local" / "share"
    return base / "mlops"


@dataclass(frozen=True)
class State:
    """The places inside a state folder."""

    folder: Path

    @property
    def exists(self) -> bool:
        """Return whether a run has made this folder."""
        return (self.folder / "objects.sqlite").is_file()

    def make_private(self) -> None:
        """Leave the folder and what is in it to its owner: rows, models and logs are nobody else's.

        The folder itself keeps its mode if it holds something of somebody else, or belongs to another user.
        """
        os.umask(0o077)
        if not self.folder.is_dir() or self.folder.stat().st_uid != os.getuid():
            return
        names = {path.name for path in self.folder.iterdir()}
        for path in (self.folder / name for name in names & _OURS):
            if not path.is_symlink() and path.stat().st_uid == os.getuid():
                path.chmod(path.stat().st_mode & 0o700)
        if names & _OURS and names <= _OURS:
            self.folder.chmod(0o700)

    @property
    def in_use(self) -> bool:
        """Return whether a process works on this folder: without one, nothing that it says of servers is true."""
        return is_held(self.folder)

    @property
    def store(self) -> Path:
        """Return the artifact store: blobs and manifests by digest, captured requests."""
        return self.folder / "store"

    @property
    def buckets(self) -> Path:
        """Return the folder that `s3://` URIs resolve to, a folder per bucket."""
        return self.folder / "buckets"

    @property
    def logs(self) -> Path:
        """Return the folder of the pods' logs, by namespace and pod."""
        return self.folder / "logs"

    @property
    def replay(self) -> Path:
        """Return the file that remembers how far a replay has come."""
        return self.folder / "replay.json"

    @property
    def sources(self) -> Path:
        """Return the file that remembers what lay in the buckets."""
        return self.folder / "sources.json"

    @property
    def reports(self) -> Path:
        """Return the folder where the reports of drift checks are laid out to be opened."""
        return self.folder / "reports"

    @property
    def requests(self) -> Path:
        """Return the folder of requests that can be sent as they are to what is served."""
        return self.folder / "requests"
