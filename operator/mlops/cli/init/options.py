"""What the command line says of a delivery that the delivery itself need not settle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class InitOptions:
    """The options of `mlops init`."""

    files: tuple[str, ...]
    label: str | None = None
    time: str | None = None
    key: str | None = None
    name: str | None = None
    output: Path | None = None
    force: bool = False
    dates: str | None = None  # day-first, month-first
    decimal: str | None = None
    delimiter: str | None = None
    quote: str | None = None  # empty: quotes are letters
    encoding: str | None = None
    header: int | None = None
    time_zone: str | None = None
    sheet: str | None = None
    records: str | None = None
    # Where s3:// leads: a real service, or the buckets of a state folder.
    s3: bool = False
    state: Path | None = None
    networks: tuple[str, ...] = ()
