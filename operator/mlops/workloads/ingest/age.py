"""How old what was read is: when its newest part was delivered, and of when its newest row is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from mlops.api.base import format_time
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.locate import Delivered
from mlops.workloads.ingest.rows import Rows


class NewestDelivery:
    """Keeps when the newest of what is read was delivered, as far as anything says so."""

    def __init__(self) -> None:
        self.at: datetime | None = None

    def watch(self, files: Iterator[Delivered]) -> Iterator[Delivered]:
        """Pass the files on and note when each was written."""
        for file in files:
            if file.modified is not None:
                self.note(datetime.fromtimestamp(file.modified, UTC))
            yield file

    def note(self, at: datetime) -> None:
        """Note that something was delivered at this time."""
        self.at = at if self.at is None else max(self.at, at)

    @property
    def text(self) -> str | None:
        """Return the time as a report says it."""
        return None if self.at is None else format_time(self.at)


def newest_event(rows: Rows, contract: Contract) -> str | None:
    """Return the newest value of the timestamp field; None if there is none, or it is somebody's own."""
    name = contract.timestamp
    if name is None or name in contract.pii:
        return None
    newest: Any = max(
        (value for chunk in rows.chunks([name]) if (value := chunk[name].max()) is not None), default=None
    )
    return None if newest is None else format_time(newest)
