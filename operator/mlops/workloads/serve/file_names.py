"""Files that a server stores, and their names."""

from __future__ import annotations

import hashlib
import itertools
import re
import uuid
from dataclasses import dataclass
from typing import Final

# That one batch makes at most. Event times are the clients' choice: ten thousand rows could name seven thousand months.
MOST_FILES: Final = 24


@dataclass(frozen=True)
class File:
    """An encoded file: its key is its own for ever."""

    key: str
    data: bytes
    rows: int


class FileNames:
    """Names that no other process and no earlier life of this pod gives: nothing is ever overwritten."""

    def __init__(self, host: str) -> None:
        readable = re.sub(r"[^A-Za-z0-9.-]", "-", host)[:63].strip(".-") or "pod"
        self._process = f"{readable}-{uuid.uuid4().hex[:12]}"
        self._numbers = itertools.count()

    def name(self, data: bytes, suffix: str = "parquet") -> str:
        """Return the next name."""
        digest = hashlib.sha256(data).hexdigest()[:12]
        return f"{self._process}-{next(self._numbers):08d}-{digest}.{suffix}"
