"""What a drift check saw of a window is what a Dataset of that window holds, and both are what the rule says."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops.api.base import parse_duration
from mlops.api.dataset import DatasetSpec
from mlops.api.drift_monitor import Labels
from mlops.store import Store, open_store
from mlops.workloads.drift.label_sources import LabelPlaces
from mlops.workloads.drift.reference import Reference
from mlops.workloads.drift.window import JudgedSpan, load_window
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.records.layout import captures_prefix, feedback_prefix, partition, partition_of_span
from mlops.workloads.floor.records.reading import labels_of
from mlops.workloads.ingest.captured import Window, captured_rows
from mlops.workloads.ingest.contract import contract_of

PLACE = ("shop", "shop", "production")
END = datetime(2024, 3, 1, tzinfo=UTC)
START = END - timedelta(days=10)
TIMESTAMP = pl.Datetime("us", "UTC")
SOURCE = {"captured": {"modelName": "shop", "window": "10d", "labels": "Optional"}}
SPEC = DatasetSpec.model_validate(
    {
        "source": SOURCE,
        "fields": [
            {"name": "key", "type": "string", "role": "entityKey"},
            {"name": "at", "type": "timestamp", "role": "timestamp"},
            {"name": "price", "type": "float64"},
            {"name": "class", "type": "string", "role": "label", "nullable": True},
        ],
        "format": "parquet",
        "split": {"strategy": "time"},
    }
)


@dataclass(frozen=True)
class Request:
    """One captured row."""

    id: str
    row: int
    time: datetime
    arrived: datetime | None
    price: float


@dataclass(frozen=True)
class Label:
    """One label that came."""

    id: str
    row: int
    label: str
    time: datetime
    received: datetime


def around(first: datetime, last: datetime) -> st.SearchStrategy[datetime]:
    """Timestamps near the ends of the window and between, often equal to them."""
    near = [timestamp + timedelta(microseconds=step) for timestamp in (first, last) for step in (-1, 0, 1)]
    days = st.integers(-40, 80).map(lambda halves: first + timedelta(hours=12 * halves))
    return st.sampled_from(near) | days


IDS = st.sampled_from(["a", "b", "c", "d"])
ROWS = st.integers(0, 1)
REQUESTS = st.builds(
    Request,
    id=IDS,
    row=ROWS,
    time=around(START, END),
    arrived=st.none() | around(START, END),
    price=st.integers(0, 5).map(float),
)
LABELS = st.builds(
    Label,
    id=IDS | st.just("never asked"),
    row=ROWS,
    label=st.sampled_from(["UP", "DOWN"]),
    time=around(START, END),
    received=around(START, END),
)


def write(store: Store, prefix: str, columns: dict[str, Any], name: str, place: str) -> None:
    """Store one file of these columns."""
    sink = io.BytesIO()
    pl.DataFrame(columns).write_parquet(sink)
    store.put_object(f"{prefix}{place}{name}.parquet", sink.getvalue())


def places(times: Iterable[datetime], layout: str) -> dict[str, list[int]]:
    """Which rows lie together: by day, by month, or all in one span."""
    found: dict[str, list[int]] = {}
    listed = list(times)
    for index, timestamp in enumerate(listed):
        if layout == "span":
            place = partition_of_span(min(listed), max(listed))
        else:
            place = partition(timestamp, monthly=layout == "month")
        found.setdefault(place, []).append(index)
    return found


def store_all(store: Store, requests: list[Request], labels: list[Label], layouts: list[str]) -> None:
    """Write requests and labels in files of several layouts, as flushes of several servers would."""
    for number, layout in enumerate(layouts):
        some = requests[number :: len(layouts)]
        for place, indices in places((one.time for one in some), layout).items():
            chosen = [some[index] for index in indices]
            columns = {
                "id": [one.id for one in chosen],
                "row": [one.row for one in chosen],
                "time": pl.Series([one.time for one in chosen], dtype=TIMESTAMP),
                "modelDigest": ["sha256:live"] * len(chosen),
                "in.price": [one.price for one in chosen],
                "out.prediction": ["UP"] * len(chosen),
            }
            if any(one.arrived for one in chosen):
                columns["arrived"] = pl.Series([one.arrived for one in chosen], dtype=TIMESTAMP)
            write(store, captures_prefix(*PLACE), columns, f"r{number}", place)
        given_labels = labels[number :: len(layouts)]
        for place, indices in places((one.time for one in given_labels), layout).items():
            of_place = [given_labels[index] for index in indices]
            columns = {
                "id": [one.id for one in of_place],
                "row": [one.row for one in of_place],
                "label": [one.label for one in of_place],
                "time": pl.Series([one.time for one in of_place], dtype=TIMESTAMP),
                "received": pl.Series([one.received for one in of_place], dtype=TIMESTAMP),
            }
            write(store, feedback_prefix(*PLACE), columns, f"l{number}", place)


Row = tuple[str, int, datetime, float, str | None]


def by_rule(requests: list[Request], labels: list[Label]) -> set[Row]:
    """The rule in plain words; ties are left to the readers, see `tie`."""
    first: dict[tuple[str, int], Request] = {}
    for one in sorted(requests, key=lambda one: (one.arrived or datetime.min.replace(tzinfo=UTC), one.time)):
        if START < one.time <= END:
            first.setdefault((one.id, one.row), one)
    last: dict[tuple[str, int], str] = {}
    for label in sorted(labels, key=lambda label: (label.received, label.time, label.label)):
        asked = first.get((label.id, label.row))
        if asked is None or label.time < asked.time - timedelta(days=1):
            continue
        if asked.arrived is None or label.received >= asked.arrived:
            last[label.id, label.row] = label.label
    return {(one.id, one.row, one.time, one.price, last.get((one.id, one.row))) for one in first.values()}


def tie(requests: list[Request]) -> bool:
    """Whether two rows came at once under one name and say different things."""
    seen: dict[Any, float] = {}
    return any(seen.setdefault((one.id, one.row, one.arrived, one.time), one.price) != one.price for one in requests)


def of_the_check(store: Store, **limits: int) -> set[Row]:
    """What a drift check of the window sees."""
    return set(checked(store, **limits).select("id", "row", "time", "in.price", "label").rows())


def checked(store: Store, **limits: int) -> pl.DataFrame:
    """The rows that a drift check of the window is computed from."""
    frame = pl.DataFrame({"in.price": [1.0], "label": ["UP"], "out.prediction": ["UP"], "part": ["test"]})
    reference = Reference(frame, "classification", ("price",), (), ("DOWN", "UP"), "class", frozenset(["price"]))
    window = load_window(
        store,
        reference,
        JudgedSpan(START, END, END),
        requests=captures_prefix(*PLACE),
        labels=LabelPlaces(Labels(), feedback_prefix(*PLACE)),
        live="sha256:live",
        max_samples=limits.get("max_samples", 1000),
    )
    return window.frame


def ingested(store: Store) -> list[pl.DataFrame]:
    """The rows that a captured Dataset of the window is made from."""
    source = SPEC.source.captured
    assert source is not None
    assert parse_duration(source.window) == END - START
    return list(captured_rows(store, "shop", source, contract_of(SPEC), Window.before(END, source)))


def of_the_dataset(store: Store) -> set[Row]:
    """What a captured Dataset of the window holds."""
    rows: set[Row] = set()
    for frame in ingested(store):
        for key, at, price, label in frame.select("key", "at", "price", "class").rows():
            name, _, row = key.partition("/")
            rows.add((name, int(row or 0), at, price, label))
    return rows


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(REQUESTS, max_size=14),
    st.lists(LABELS, max_size=14),
    st.lists(st.sampled_from(["day", "month", "span"]), min_size=1, max_size=3),
)
def test_a_check_and_a_dataset_of_one_window_hold_the_same_rows(
    requests: list[Request], labels: list[Label], layouts: list[str]
) -> None:
    """Same rows, same first capture of an id, same ends of the window, same labels: in whatever files they lie."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"file://{folder}/store", {})
        store_all(store, requests, labels, layouts)
        seen = of_the_check(store)
        assert of_the_dataset(store) == seen
        if not tie(requests):
            assert seen == by_rule(requests, labels)


@dataclass(frozen=True)
class Replayed:
    """How one run of a stream went: when each row came, what was sent twice, how rows lie in files."""

    seconds: list[int]
    again: set[int]
    layouts: list[str]

    def store(self, root: str, rows: list[tuple[int, float]], began: datetime) -> Store:
        """Send the rows (minutes after the start, price) and then their labels to a server whose clock says `began`."""
        store = open_store(f"file://{root}", {})
        requests, labels = [], []
        for number, (minutes, price) in enumerate(rows):
            name, time = f"row-{number}", START + timedelta(minutes=minutes)
            delay = timedelta(seconds=self.seconds[number % len(self.seconds)])
            for turn in range(2 if number in self.again else 1):
                came = began + timedelta(hours=turn) + delay
                requests.append(Request(name, 0, time, came, price))
                labels.append(Label(name, 0, "UP" if price > 2 else "DOWN", time, came + timedelta(minutes=5)))
        requests.sort(key=lambda one: one.arrived or began)
        labels.sort(key=lambda one: one.received)
        store_all(store, requests, labels, self.layouts)
        return store


REPLAYED = st.builds(
    Replayed,
    seconds=st.lists(st.integers(0, 200), min_size=1, max_size=8),
    again=st.sets(st.integers(0, 20)),
    layouts=st.lists(st.sampled_from(["day", "month", "span"]), min_size=1, max_size=3),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.integers(0, 9 * 24 * 60), st.integers(0, 5).map(float)), min_size=1, max_size=20),
    REPLAYED,
    REPLAYED,
    st.integers(-900, 900),
)
def test_two_replays_of_one_stream_are_read_bit_for_bit_alike(
    rows: list[tuple[int, float]], first: Replayed, second: Replayed, days_later: int
) -> None:
    """Whatever the servers' clocks said, in whatever order rows came, and what was sent again after a stop."""
    with tempfile.TemporaryDirectory() as folder:
        one = first.store(f"{folder}/one", rows, END)
        other = second.store(f"{folder}/other", rows, END + timedelta(days=days_later))
        assert checked(one, max_samples=10).equals(checked(other, max_samples=10))
        assert checked(one).height == sum(minutes > 0 for minutes, _ in rows)
        assert checked(one).columns == checked(other).columns
        assert [frame.rows() for frame in ingested(one)] == [frame.rows() for frame in ingested(other)]
        assert "arrived" not in {*checked(one).columns, *(name for frame in ingested(one) for name in frame.columns)}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return open_store(f"file://{tmp_path}/store", {})


def test_a_later_request_of_the_same_id_replaces_nothing(store: Store) -> None:
    """Even if it says that it happened earlier."""
    mine = Request("a", 0, END - timedelta(days=2), END - timedelta(hours=2), 1.0)
    foreign = Request("a", 0, END - timedelta(days=5), END - timedelta(hours=1), 5.0)
    store_all(store, [foreign, mine], [], ["day", "span"])
    assert of_the_check(store) == of_the_dataset(store) == {("a", 0, mine.time, 1.0, None)}


def test_a_label_that_was_there_before_its_request_was_guessed(store: Store) -> None:
    """It is counted as unmatched; one that comes afterwards is taken."""
    asked = Request("a", 0, END - timedelta(days=2), END - timedelta(hours=5), 1.0)
    guessed = Label("a", 0, "DOWN", END - timedelta(days=1), END - timedelta(hours=6))
    true = Label("a", 0, "UP", END - timedelta(days=1), END - timedelta(hours=4))
    store_all(store, [asked], [guessed], ["day"])
    assert of_the_check(store) == of_the_dataset(store) == {("a", 0, asked.time, 1.0, None)}
    store_all(store, [asked], [guessed, true], ["month"])
    assert of_the_check(store) == of_the_dataset(store) == {("a", 0, asked.time, 1.0, "UP")}


def test_labels_dated_before_their_request_are_told_apart(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Batches scored today about last month, without event_time: no label counted, and nothing said why."""
    asked = [Request(name, 0, END - timedelta(days=2), END - timedelta(days=2), 1.0) for name in "ab"]
    late = [Label(name, 0, "UP", END - timedelta(days=9), END - timedelta(hours=1)) for name in "ab"]
    store_all(store, asked, late, ["day"])
    rows = pl.DataFrame({"id": ["a", "b"], "row": [0, 0], "time": [END - timedelta(days=2)] * 2}).with_columns(
        pl.col("time").cast(TIMESTAMP).alias("arrived")
    )
    found = labels_of(store, feedback_prefix(*PLACE), JudgedSpan(START, END, END), rows, as_text=True)
    assert (found.early, found.unmatched, found.frame.height) == (2, 0, 0)
    assert of_the_dataset(store)
    assert "2 labels are dated more than a day before their request: send event_time" in caplog.text


def test_labels_of_ids_that_nobody_asked_take_no_memory(store: Store) -> None:
    """A hundred thousand guesses beside one answered request: counted, and nothing else."""
    asked = Request("a", 0, END - timedelta(days=2), END - timedelta(hours=5), 1.0)
    when = END - timedelta(hours=1)
    store_all(store, [asked], [Label("a", 0, "UP", when, when)], ["day"])
    count = 100_000
    columns = {
        "id": [f"guess-{number}" for number in range(count)],
        "row": [0] * count,
        "label": ["DOWN"] * count,
        "time": pl.Series([when] * count, dtype=TIMESTAMP),
        "received": pl.Series([when] * count, dtype=TIMESTAMP),
    }
    write(store, feedback_prefix(*PLACE), columns, "guesses", partition(when, monthly=False))
    assert of_the_check(store) == of_the_dataset(store) == {("a", 0, asked.time, 1.0, "UP")}


def test_a_sample_of_the_window_is_a_part_of_the_dataset(store: Store) -> None:
    """A check looks at no more than it may, and at nothing else."""
    requests = [Request(str(n), 0, START + timedelta(minutes=n + 1), END, float(n)) for n in range(300)]
    store_all(store, requests, [], ["day", "month", "span"])
    sample = of_the_check(store, max_samples=50)
    assert len(sample) == 50
    assert sample < of_the_dataset(store)


def test_a_broken_file_is_named_by_both(store: Store) -> None:
    """The user reads which file it is."""
    store.put_object(f"{captures_prefix(*PLACE)}date=2024-02/broken.parquet", b"PAR1 no")
    for read in (of_the_check, of_the_dataset):
        with pytest.raises(BadInput, match=r"broken\.parquet is no readable Parquet file"):
            read(store)


FOREIGN = [
    pytest.param({"row": ["Alice Miller"]}, id="row"),
    pytest.param({"time": ["Alice Miller"]}, id="time"),
    pytest.param({"arrived": ["Alice Miller"]}, id="arrived"),
    pytest.param({"modelDigest": [7]}, id="digest"),
    pytest.param({"in.price": [["Alice Miller"]]}, id="list"),
    pytest.param({"id": [{"name": "Alice Miller"}]}, id="struct"),
]


@pytest.mark.parametrize("change", FOREIGN)
def test_a_file_of_other_types_is_named_by_both_without_its_values(store: Store, change: dict[str, Any]) -> None:
    """One foreign file under the prefix ended every check in InternalError, and nobody could tell which it was."""
    columns = {"id": ["a"], "row": [0], "time": [END], "modelDigest": ["x"], "in.price": [1.0]} | change
    write(store, captures_prefix(*PLACE), columns, "foreign", "date=2024-02/")
    for read in (of_the_check, of_the_dataset):
        with pytest.raises(BadInput, match=r"foreign\.parquet") as info:
            read(store)
        assert info.value.reason == "DataUnusable"
        assert "Alice" not in info.value.message
        assert info.value.__cause__ is None


@pytest.mark.parametrize("change", [{"row": ["Alice"]}, {"received": ["Alice"]}, {"label": [["Alice"]]}])
def test_labels_of_other_types_are_named_by_both(store: Store, change: dict[str, Any]) -> None:
    """The same of what was fed back."""
    rows = {"id": ["a"], "row": [0], "time": [END], "modelDigest": ["x"], "in.price": [1.0]}
    write(store, captures_prefix(*PLACE), rows, "good", "date=2024-03/")
    columns = {"id": ["a"], "row": [0], "label": ["UP"], "received": [END]} | change
    write(store, feedback_prefix(*PLACE), columns, "foreign", "date=2024-03/")
    for read in (of_the_check, of_the_dataset):
        with pytest.raises(BadInput, match=r"foreign\.parquet") as info:
            read(store)
        assert "Alice" not in info.value.message
