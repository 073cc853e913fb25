"""The state folder: everything that the loop on one machine knows and made."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "MLOPS_STATE"


def default_folder() -> Path:
    """Return the folder for this user's data, by the platform's custom."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen)
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "mlops"


@dataclass(frozen=True)
class State:
    """The places inside a state folder."""

    folder: Path

    @property
    def exists(self) -> bool:
        """Return whether a run has made this folder."""
        return (self.folder / "objects.sqlite").is_file()

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
    def reports(self) -> Path:
        """Return the folder where the reports of drift checks are laid out to be opened."""
        return self.folder / "reports"
