"""Random contracts with their deliveries: every type, every step of cleaning, computed features, gaps and extremes."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

ROWS = 160
START = datetime(2024, 1, 1, tzinfo=UTC)
DTYPES: dict[str, Any] = {
    "float64": pl.Float64(),
    "int64": pl.Int64(),
    "boolean": pl.Boolean(),
    "string": pl.String(),
    "timestamp": pl.Datetime("us", "UTC"),
}
FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


def _number(draw: random.Random) -> float:
    return draw.choice([draw.gauss(0, 3), float(draw.randint(-5, 5)), 5e-324, -0.0, 1e-300, 1 / 3])


def _whole(draw: random.Random) -> int:
    return draw.randint(-9, 9)


def _large(draw: random.Random) -> int:
    return draw.choice([draw.randint(-(1 << 63), (1 << 63) - 1), (1 << 53) + 1, -(1 << 53) - 1, draw.randint(0, 99)])


def _timestamp(draw: random.Random) -> datetime:
    baseline = START + timedelta(microseconds=draw.randint(-(10**16), 10**16))
    return draw.choice(
        [baseline, baseline, baseline, FIRST, LAST, datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)]
    )


def _text(draw: random.Random) -> str:
    return draw.choice(["a", "b", "B ", "ärger", "", "never mind", "🦀"])


@dataclass(frozen=True)
class Column:
    """A field of the random contract and how its values are drawn."""

    name: str
    type: str
    role: str
    value: Callable[[random.Random], Any]
    constant: str


COLUMNS = (
    Column("ratio", "float64", "feature", _number, "-1.25"),
    Column("degree", "float64", "feature", _number, "0.1"),
    Column("count", "int64", "feature", _whole, "-1"),
    Column("account", "int64", "feature", _large, "9007199254740993"),
    Column("open", "boolean", "feature", lambda draw: draw.random() < 0.5, "true"),
    Column("kind", "string", "feature", _text, "unknown"),
    Column("note", "string", "input", _text, "nothing said"),
    Column("paid", "timestamp", "input", _timestamp, "2001-02-03T04:05:06.000007Z"),
    Column("born", "timestamp", "feature", _timestamp, "1999-12-31T00:00:00Z"),
)
FEATURES = (
    ("double_ratio", "ratio * 2 + count"),
    ("eighth", "degree / 8.0"),
    ("last_digits", "account % 1000"),
    ("month", "extract(month from paid)"),
    ("hour", "extract(hour from paid)"),
    ("birthday", "extract(day from born)"),
    ("delivered", "extract(hour from time)"),
    ("letters", "length(note)"),
    ("lower_kind", "lower(kind)"),
    ("flag", "CASE WHEN open THEN 1 ELSE 0 END"),
    ("known", "coalesce(count, -5)"),
    ("length_of_id", "length(id)"),
)
FILTERS = (
    ("ratio < 6 OR ratio IS NULL", {"ratio"}),
    ("count > -9", {"count"}),
    ("account IS NOT NULL", {"account"}),
    ("kind <> 'b'", {"kind"}),
    ("paid >= timestamp '1900-01-01'", {"paid"}),
    ("NOT (open AND count = 3)", {"open", "count"}),
)


@dataclass
class Contract:
    """A Dataset's spec in parts, the rows as they are delivered, and which steps the spec has."""

    fields: list[dict[str, Any]]
    clean: list[dict[str, Any]]
    features: list[dict[str, str]]
    rows: pl.DataFrame
    label: str
    kinds: set[str] = field(default_factory=set)
    # Fields whose gaps are filled from a row before.
    forward: set[str] = field(default_factory=set)

    @property
    def spec(self) -> dict[str, Any]:
        """The spec."""
        return {
            "source": {"s3": {"uri": "s3://raw/things/"}},
            "format": "parquet",
            "fields": self.fields,
            "clean": self.clean,
            "features": self.features,
            "split": {"strategy": "random", "seed": 3},
        }


def a_contract(seed: int) -> Contract:
    """The contract of this number."""
    draw = random.Random(seed)
    chosen = [one for one in COLUMNS if draw.random() < 0.7 or one.name == "ratio"]
    names = {one.name for one in chosen} | {"id", "time"}
    steps, kinds, forward, closed = _steps(draw, chosen)
    gaps = {one.name for one in chosen if draw.random() < 0.6}
    fields = [
        {"name": "id", "type": "string", "role": "entityKey"},
        {"name": "time", "type": "timestamp", "role": "timestamp"},
        *(
            # Where a step closes all gaps the field need not be nullable.
            {"name": one.name, "type": one.type, "role": one.role, "nullable": one.name in gaps - closed}
            for one in chosen
        ),
        {"name": "class", "type": "string", "role": "label"},
    ]
    features = [{"name": n, "expression": e} for n, e in FEATURES if _reads(e) <= names and draw.random() < 0.7]
    read = {word for one in features for word in _reads(one["expression"])}
    # A timestamp of role feature of which nothing is computed is none that a model takes.
    for one in fields:
        if one["type"] == "timestamp" and one["role"] == "feature" and one["name"] not in read:
            one["role"] = "input"
    return Contract(fields, steps, features, _rows(draw, chosen, gaps), "class", kinds, forward & gaps)


_WORDS = {one.name for one in COLUMNS} | {"id", "time"}


def _reads(expression: str) -> set[str]:
    cleaned = "".join(letter if letter.isalnum() or letter == "_" else " " for letter in expression)
    return set(cleaned.split()) & _WORDS


def _steps(draw: random.Random, chosen: list[Column]) -> tuple[list[dict[str, Any]], set[str], set[str], set[str]]:
    steps: list[dict[str, Any]] = []
    kinds: set[str] = set()
    forward: set[str] = set()
    closed: set[str] = set()
    for one in draw.sample(chosen, k=min(len(chosen), draw.randint(1, 5))):
        numeric = one.type in ("float64", "int64")
        how = draw.choice(["value", "forward", "dropNulls", *(["mean", "median", "zero"] if numeric else [])])
        if how == "mean" and one.name == "account":
            how = "median"
        kinds.add(how)
        if how == "dropNulls":
            steps.append({"dropNulls": [one.name]})
            closed.add(one.name)
        elif how == "value":
            steps.append({"fillNull": {"field": one.name, "value": one.constant}})
            closed.add(one.name)
        elif how == "forward":
            # Every entity has one row, so that none could fill another of its own.
            by = draw.choice([[], [other.name for other in chosen if other.name == "kind" != one.name]])
            steps.append({"fillNull": {"field": one.name, "strategy": how, "by": by}})
            forward.add(one.name)
        else:
            steps.append({"fillNull": {"field": one.name, "strategy": how}})
            closed.add(one.name)
    for condition, reads in FILTERS:
        if reads <= {one.name for one in chosen} and draw.random() < 0.25:
            steps.insert(draw.randint(0, len(steps)), {"filter": condition})
            kinds.add("filter")
    if draw.random() < 0.4:
        steps.insert(0, {"deduplicate": {"by": ["id"]}})
        kinds.add("deduplicate")
    return steps, kinds, forward, closed


def _rows(draw: random.Random, chosen: list[Column], gaps: set[str]) -> pl.DataFrame:
    def value(one: Column) -> Any:
        return None if one.name in gaps and draw.random() < 0.2 else one.value(draw)

    data: dict[str, Any] = {
        "id": pl.Series([f"r{number}" for number in range(ROWS)], dtype=pl.String),
        "time": pl.Series([START + timedelta(hours=number) for number in range(ROWS)], dtype=DTYPES["timestamp"]),
    }
    for one in chosen:
        data[one.name] = pl.Series([value(one) for _ in range(ROWS)], dtype=DTYPES[one.type])
    ratio = data["ratio"].fill_null(0.5)
    data["class"] = pl.Series(["yes" if (each > 0) != (draw.random() < 0.1) else "no" for each in ratio.to_list()])
    return pl.DataFrame(data)
