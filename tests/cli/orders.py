"""A project whose rows have all that a model server does to a row before it answers: text, dates as they are written
somewhere, gaps that are filled, rows that are left out, computed features; delivered as CSV of another country."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

MANIFESTS = """\
apiVersion: mlops.dev/v1alpha1
kind: Dataset
metadata: {name: orders}
spec:
  source: {s3: {uri: "s3://raw/orders/"}}
  format: csv
  csv: {delimiter: ";", decimal: ",", nullValues: ["n/a"], trueValues: ["ja"], falseValues: ["nein"]}
  fields:
    - {name: id, type: string, role: entityKey}
    - {name: at, type: timestamp, role: timestamp, timeZone: UTC, formats: ["%d.%m.%Y %H:%M"]}
    - {name: ordered, column: "ordered on", type: timestamp, role: input, timeZone: UTC, formats: ["%d.%m.%Y"]}
    - {name: weight, type: float64, nullable: true, min: "0", max: "1000"}
    - {name: pieces, type: int64}
    - {name: express, type: boolean}
    - {name: colour, type: string, nullable: true}
    - {name: note, type: string, role: input}
    - {name: returned, type: string, role: label, enum: ["no", "yes"]}
  clean:
    - fillNull: {field: weight, strategy: mean}
    - fillNull: {field: colour, value: none}
    - filter: "pieces > 0"
  features:
    - {name: month, expression: "extract(month from ordered)"}
    - {name: letters, expression: "length(note)"}
  split: {strategy: time}
---
apiVersion: mlops.dev/v1alpha1
kind: TrainingRun
metadata: {name: orders}
spec:
  datasetRef: {name: orders}
  trainer: {estimator: {name: LogisticRegression}}
  register: {modelName: orders}
"""
SCENARIO = """\
[[put]]
file = "orders.csv"
uri = "s3://raw/orders/orders.csv"
"""
INPUTS = ("ordered", "weight", "pieces", "express", "colour", "note")
# What a word of the command line, or a request, says of the same row.
DATATYPES = {
    "ordered": "BYTES",
    "weight": "FP64",
    "pieces": "INT64",
    "express": "BOOL",
    "colour": "BYTES",
    "note": "BYTES",
}


def rows(count: int, seed: int = 1) -> pl.DataFrame:
    """Return `count` orders with their values as such; no row is one that training leaves out."""
    random = np.random.default_rng(seed)
    weight = random.gamma(2.0, 3.7, count)
    colour = random.choice(["red", "green", "blue"], count)
    odds = weight / 8 - 1 + (colour == "red")
    first = datetime(2023, 1, 1, tzinfo=UTC)
    return pl.DataFrame(
        {
            "id": [f"o{number:05d}" for number in range(count)],
            "at": [first + timedelta(hours=7 * number) for number in range(count)],
            "ordered": [first + timedelta(days=int(day)) for day in random.integers(0, 700, count)],
            "weight": [None if random.random() < 0.15 else float(one) for one in weight],
            "pieces": random.integers(1, 9, count),
            "express": random.random(count) < 0.3,
            "colour": [None if random.random() < 0.1 else str(one) for one in colour],
            "note": ["ä" * int(length) + "; ok" for length in random.integers(0, 6, count)],
            "returned": np.where(odds + random.normal(size=count) > 0, "yes", "no"),
        }
    )


def as_delivered(frame: pl.DataFrame) -> bytes:
    """Return the rows as the shop writes them."""
    lines = ["id;at;ordered on;weight;pieces;express;colour;note;returned"]
    for row in frame.iter_rows(named=True):
        weight = "n/a" if row["weight"] is None else repr(row["weight"]).replace(".", ",")
        lines.append(
            f"{row['id']};{row['at']:%d.%m.%Y %H:%M};{row['ordered']:%d.%m.%Y};{weight};{row['pieces']};"
            f'{"ja" if row["express"] else "nein"};{row["colour"] or "n/a"};"{row["note"]}";{row["returned"]}'
        )
    return "\n".join([*lines, ""]).encode()


def write(folder: Path) -> Path:
    """Write the project: manifests, data, scenario."""
    folder.mkdir(parents=True)
    (folder / "orders.yaml").write_text(MANIFESTS)
    (folder / "scenario.toml").write_text(SCENARIO)
    (folder / "orders.csv").write_bytes(as_delivered(rows(400)))
    return folder
