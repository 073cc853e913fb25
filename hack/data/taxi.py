"""Make the files of the taxi example: two tables of a database, and the trips that are asked about afterwards.

    python hack/data/taxi.py examples           write them
    python hack/data/taxi.py --check examples   compare instead

The trips are made up: `examples/taxi/data/README.md` says by what rule. The same seed writes the same bytes on every
machine: sums and products of Python's floats, and its Mersenne Twister.
"""

from __future__ import annotations

import argparse
import csv
import io
import random
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

SEED = 7
HISTORY_FROM, STREAM_FROM, END = (
    datetime(year, month, 1, tzinfo=UTC) for year, month in ((2022, 1), (2024, 1), (2024, 7))
)
HISTORY_TRIPS, STREAM_TRIPS = 8000, 3000
# From this day on a bridge is closed: trips that begin or end in Tema take so many times as long.
CLOSED_FROM, CLOSED = datetime(2024, 4, 1, tzinfo=UTC), 1.5
# The district, how many of a hundred trips begin there, and where it lies (km).
ZONES = (
    ("Osu", "Centre", False, 14, 0.0, 0.0),
    ("Ridge", "Centre", False, 10, -1.5, 1.5),
    ("Circle", "Centre", False, 16, -3.0, 2.5),
    ("Labadi", "Coast", False, 8, 4.0, 0.5),
    ("Teshie", "Coast", False, 6, 9.0, 1.5),
    ("Jamestown", "Coast", False, 6, -3.5, -0.5),
    ("Airport", "North", True, 14, 1.0, 6.5),
    ("East Legon", "North", False, 9, 3.0, 10.0),
    ("Legon", "North", False, 6, 0.5, 11.0),
    ("Achimota", "North", False, 5, -5.0, 9.0),
    ("Tema", "Tema", False, 4, 24.0, 5.0),
    ("Ashaiman", "Tema", False, 2, 21.0, 9.0),
)
# Trips by hour of the day, and kilometres an hour by it.
DEMAND = (3, 2, 1, 1, 2, 4, 7, 10, 10, 8, 7, 7, 8, 8, 8, 8, 9, 11, 12, 10, 8, 7, 6, 4)
SPEED = (38, 40, 40, 40, 38, 34, 26, 19, 18, 22, 25, 25, 24, 25, 25, 23, 20, 17, 16, 20, 26, 30, 34, 36)
RAINY = {5: 0.9, 6: 0.85, 10: 0.92}


@dataclass(frozen=True)
class Trip:
    """A row of the table `trips`."""

    trip_id: int
    picked_up: datetime
    from_zone: int
    to_zone: int
    passengers: int
    distance_km: float
    minutes: float


def trips(chance: random.Random, first: int, count: int, start: datetime, end: datetime) -> list[Trip]:
    """Return trips in the order of their time."""
    days, found = (end - start).days, []
    for _ in range(count):
        hour = chance.choices(range(24), DEMAND)[0]
        day = chance.randrange(days)
        picked_up = start + timedelta(days=day, hours=hour, seconds=chance.randrange(3600))
        found.append((picked_up, chance.random()))
    made = []
    for number, (picked_up, _) in enumerate(sorted(found), first):
        begin, stop = (chance.choices(range(len(ZONES)), [zone[3] for zone in ZONES])[0] for _ in range(2))
        made.append(_trip(chance, number, picked_up, begin, stop))
    return made


def _trip(chance: random.Random, number: int, picked_up: datetime, begin: int, stop: int) -> Trip:
    one, other = ZONES[begin], ZONES[stop]
    straight = abs(one[4] - other[4]) + abs(one[5] - other[5])
    distance = round(1.0 + straight * (0.9 + 0.3 * chance.random()) + 1.5 * chance.random(), 2)
    speed = SPEED[picked_up.hour] * (1.25 if picked_up.weekday() > 4 and 6 <= picked_up.hour < 20 else 1.0)
    speed *= RAINY.get(picked_up.month, 1.0)
    minutes = distance / speed * 60 * (1.15 if "Centre" in (one[1], other[1]) else 1.0)
    minutes *= CLOSED if picked_up >= CLOSED_FROM and "Tema" in (one[1], other[1]) else 1.0
    minutes = minutes * (0.8 + 0.4 * chance.random()) + (5 if one[2] or other[2] else 0) + 2 * chance.random()
    return Trip(
        number,
        picked_up,
        begin + 1,
        stop + 1,
        chance.choices((1, 2, 3, 4), (6, 3, 1, 1))[0],
        distance,
        round(minutes, 1),
    )


def files() -> dict[str, bytes]:
    """Return the files by their names."""
    chance = random.Random(SEED)
    history = trips(chance, 1, HISTORY_TRIPS, HISTORY_FROM, STREAM_FROM)
    stream = trips(chance, HISTORY_TRIPS + 1, STREAM_TRIPS, STREAM_FROM, END)
    zones = [(i, zone[0], zone[1], str(zone[2]).lower()) for i, zone in enumerate(ZONES, 1)]
    rows = [(*_plain(one), one.passengers, f"{one.distance_km:.2f}", f"{one.minutes:.1f}") for one in history]
    names = ("trip_id", "picked_up", "from_zone", "to_zone", "passengers", "distance_km", "minutes")
    sink = io.BytesIO()
    pl.DataFrame([_joined(one) for one in stream]).with_columns(
        pl.col("picked_up").cast(pl.Datetime("us", "UTC"))
    ).write_parquet(sink, compression="zstd")
    return {
        "zones.csv": _csv(("zone_id", "name", "district", "airport"), zones),
        "trips.csv": _csv(names, rows),
        "stream.parquet": sink.getvalue(),
    }


def _plain(trip: Trip) -> tuple[object, ...]:
    return trip.trip_id, trip.picked_up.strftime("%Y-%m-%dT%H:%M:%SZ"), trip.from_zone, trip.to_zone


def _joined(trip: Trip) -> dict[str, object]:
    """Return a trip as the query of taxi.yaml gives it."""
    one, other = ZONES[trip.from_zone - 1], ZONES[trip.to_zone - 1]
    return {
        "trip_id": str(trip.trip_id),
        "picked_up": trip.picked_up,
        "from_district": one[1],
        "to_district": other[1],
        "airport": one[2] or other[2],
        "passengers": trip.passengers,
        "distance_km": trip.distance_km,
        "minutes": trip.minutes,
    }


def _csv(names: tuple[str, ...], rows: list[tuple[object, ...]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue().encode()


def main() -> int:
    """Write the files, or say which differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument("examples", type=Path)
    options = parser.parse_args()
    code = 0
    for name, content in files().items():
        path = options.examples / "taxi/data" / name
        if not options.check:
            path.write_bytes(content)
        elif not path.is_file() or path.read_bytes() != content:
            print(f"{path} differs")
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
