"""Rows of a file sent as requests in the order of their time, with their labels late: to a server here or anywhere."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import orjson
import polars as pl
import urllib3
from rich.progress import MofNCompleteColumn, Progress

from mlops.api.base import format_time, parse_duration
from mlops.cli import stream_text
from mlops.cli.errors import UserError
from mlops.cli.scenario import Replay
from mlops.cli.state import server_headers
from mlops.workloads.floor.parquet_file import ParquetError
from mlops.workloads.ingest.zones import parquet_in_utc

# Enough to keep one server busy; a request is retried, so a switch of versions loses none.
CONNECTIONS = 4
LABELS_PER_REQUEST = 2_000


class ReplayTarget:
    """A served model: `url` is its server's, such as http://127.0.0.1:8080."""

    def __init__(self, url: str, model: str) -> None:
        self.url, self.model = url.rstrip("/"), model
        self._headers = server_headers()
        self.pool = urllib3.PoolManager(
            maxsize=CONNECTIONS,
            block=True,
            timeout=urllib3.Timeout(connect=5, read=60),
            # Rows are known by their id, so a request that is sent twice counts once.
            retries=urllib3.Retry(
                total=8, backoff_factor=0.1, status_forcelist=(502, 503), allowed_methods=None, raise_on_status=False
            ),
        )
        described = self._call("GET", f"/v2/models/{model}")
        if not isinstance(described.get("inputs"), list):
            raise UserError(f"{self.url} is no model server: it does not say what the inputs of {model} are")
        self.inputs: list[dict[str, Any]] = described["inputs"]
        # The datatype of the answer, which is that of its labels.
        self.answer = next((str(one["datatype"]) for one in described.get("outputs") or []), None)

    def infer(self, row_id: str, time: str, values: dict[str, Any]) -> dict[str, Any]:
        """Send one row; `row_id` names it, also for its label."""
        body = {
            "id": row_id,
            "parameters": {"event_time": time},
            "inputs": [
                {"name": i["name"], "datatype": i["datatype"], "shape": [1], "data": [values[i["name"]]]}
                for i in self.inputs
            ],
        }
        return self._call("POST", f"/v2/models/{self.model}/infer", body)

    def feedback(self, labels: list[dict[str, Any]]) -> None:
        """Send labels: id, row, label, time."""
        self._call("POST", f"/v2/models/{self.model}/feedback", {"labels": labels})

    def flush(self) -> None:
        """Wait until all that was captured is in the store."""
        self._call("POST", "/-/flush")

    def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        data = None if body is None else orjson.dumps(body)
        try:
            answer = self.pool.request(method, self.url + path, body=data, headers=self._headers)
        except urllib3.exceptions.HTTPError as error:
            raise UserError(f"{method} {self.url}{path}: no answer: {error}") from error
        if answer.status >= 300:
            raise UserError(
                f"{method} {self.url}{path}: {answer.status}: {answer.data[:500].decode('utf-8', 'replace')}"
            )
        try:
            parsed = orjson.loads(answer.data or b"{}")
        except orjson.JSONDecodeError as error:
            raise UserError(f"{method} {self.url}{path}: this is no model server: its answer is not JSON") from error
        return parsed if isinstance(parsed, dict) else {}


@dataclass(frozen=True)
class Stream:
    """The rows of a replay in the order of their time; labels become known in the same order."""

    frame: pl.DataFrame
    replay: Replay

    @classmethod
    def read(cls, folder: Path, replay: Replay) -> Stream:
        """Return the stream of a scenario's file. Raises UserError naming the missing file or column."""
        path = folder / replay.file
        if not path.is_file():
            raise UserError(f"{path}: there is no such file")
        try:
            frame = _parquet(path) if path.suffix == ".parquet" else stream_text.read_csv(path)
        except (pl.exceptions.PolarsError, ParquetError) as error:
            raise UserError(f"{path}: cannot be read as {path.suffix or 'CSV'}: {_first_line(error)}") from error
        for column in filter(None, (replay.id, replay.time, replay.label)):
            if column not in frame.columns:
                raise UserError(f"{path}: no column {column!r}; there are {', '.join(frame.columns)}")
        frame = frame.with_row_index(stream_text.ROW, 1)
        if frame.schema[replay.time] == pl.String:
            frame = frame.with_columns(stream_text.times(frame, replay.time, path))
        if not isinstance(frame.schema[replay.time], pl.Datetime | pl.Date):
            raise UserError(f"{path}: column {replay.time!r} is {frame.schema[replay.time]}, not a time")
        if not frame.height:
            raise UserError(f"{path}: holds no row")
        for column in (replay.id, replay.time):
            if missing := frame[column].null_count():
                raise UserError(f"{path}: column {column!r} is empty in {missing} of {frame.height} rows")
        if doubles := frame.height - frame[replay.id].n_unique():
            raise UserError(f"{path}: column {replay.id!r} does not name a row: {doubles} values stand more than once")
        frame = frame.with_columns(
            pl.col(replay.time).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            stream_text.ids(frame[replay.id], path),
        ).sort(replay.time, replay.id)
        # JSON has no other numbers.
        frame = frame.with_columns(pl.selectors.decimal().cast(pl.Float64))
        return cls(frame.head(replay.limit) if replay.limit else frame, replay)

    def __len__(self) -> int:
        return self.frame.height

    @property
    def first(self) -> datetime:
        """Return the time of the first row."""
        first: datetime = self.frame[self.replay.time][0]
        return first

    @property
    def last(self) -> datetime:
        """Return the time when the last label is known."""
        last: datetime = self.frame[self.replay.time][-1]
        return last + self.delay

    @property
    def delay(self) -> timedelta:
        """Return how late a label is."""
        return parse_duration(self.replay.label_delay)

    def typed(self, target: ReplayTarget) -> pl.DataFrame:
        """Return the rows with text as what the model's inputs and its answer are. Raises UserError with row, column
        and value."""
        place = Path(self.replay.file)
        wanted = {one["name"]: str(one["datatype"]) for one in target.inputs if one["name"] in self.frame.columns}
        if self.replay.label is not None and target.answer is not None:
            wanted[self.replay.label] = target.answer
        return self.frame.with_columns(
            [stream_text.as_datatype(self.frame, name, datatype, place) for name, datatype in wanted.items()]
        )

    def rows_until(self, timestamp: datetime) -> int:
        """Return how many rows have a time up to `timestamp`."""
        return int((self.frame[self.replay.time] <= timestamp).sum())


@dataclass
class Position:
    """How far a replay has come."""

    rows: int = 0
    labels: int = 0


class Stopped(Exception):
    """The sender was told to stop in the middle."""


class Sender:
    """Sends a stream piece by piece: `until` a timestamp, all rows and all labels that are known by then."""

    def __init__(self, stream: Stream, target: Callable[[], ReplayTarget], progress: Callable[[int], None]) -> None:
        self.stream, self.target, self.progress = stream, target, progress
        self._stop = Event()

    def stop(self) -> None:
        """Have `until` end soon, with Stopped: what was not sent is sent by the next run."""
        self._stop.set()

    def until(self, timestamp: datetime, position: Position) -> Position:
        """Send what happened up to `timestamp` and wait until it is in the store; return the new position."""
        target = self.target()
        missing = [i["name"] for i in target.inputs if i["name"] not in self.stream.frame.columns]
        if missing:
            raise UserError(f"{self.stream.replay.file}: no column for the model's inputs {', '.join(missing)}")
        rows = self.stream.rows_until(timestamp)
        # A label is sent for a row that was sent: its (id, row) is that of its request.
        labels = min(self.stream.rows_until(timestamp - self.stream.delay), rows)
        if rows == position.rows and labels == position.labels:
            return position
        frame = self.stream.typed(target)
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            rows_to_send = frame[position.rows : rows].iter_rows(named=True)
            for _ in pool.map(lambda row: self._infer(target, row), rows_to_send):
                self.progress(1)
        if self.stream.replay.label is not None:
            self._feedback(target, frame[position.labels : labels])
        target.flush()
        return Position(rows, labels)

    def _infer(self, target: ReplayTarget, row: dict[str, Any]) -> None:
        if self._stop.is_set():
            raise Stopped
        replay = self.stream.replay
        target.infer(row[replay.id], _timestamp(row[replay.time]), row)

    def _feedback(self, target: ReplayTarget, frame: pl.DataFrame) -> None:
        replay = self.stream.replay
        labels = [
            {"id": row_id, "row": 0, "label": label, "time": _timestamp(time + self.stream.delay)}
            for row_id, label, time in zip(frame[replay.id], frame[replay.label or ""], frame[replay.time], strict=True)
            # Some labels never come.
            if label is not None
        ]
        for first in range(0, len(labels), LABELS_PER_REQUEST):
            target.feedback(labels[first : first + LABELS_PER_REQUEST])


def _parquet(path: Path) -> pl.DataFrame:
    """Return a Parquet file's rows, whatever time zones it names; the file itself is left as it is."""
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder) / "stream.parquet"
        shutil.copyfile(path, copied)
        parquet_in_utc(copied)
        return pl.read_parquet(copied, glob=False)


def _timestamp(value: datetime) -> str:
    return format_time(value) if value.microsecond == 0 else value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def send_all(folder: Path, replay: Replay, url: str) -> None:
    """Send a whole stream to the server at `url`, with progress on the terminal."""
    stream = Stream.read(folder, replay)
    target = ReplayTarget(url, replay.model)
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn()) as progress:
        task = progress.add_task(f"replay to {url}", total=len(stream))
        sender = Sender(stream, lambda: target, lambda count: progress.advance(task, count))
        sender.until(stream.last, Position())
