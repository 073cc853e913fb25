"""What do the checks say of data whose drift, and whose estimated performance, others have published?

    python bench/drift_published.py --data FOLDER [--sets car_loan car_price multiclass] [--estimates]

FOLDER is `nannyml/datasets/data` of the wheel of NannyML 0.13.1 (Apache-2.0; `pip download --no-deps nannyml==0.13.1`,
unzipped), whose notebooks and code gave the published values. Each set has a reference of known labels, and ten chunks
of which the last five are after a change. Printed for each chunk: the estimate beside the published one and the value
measured with the labels, the answer of an EstimatedPerformance check, and, unless only `--estimates` are wanted, the
verdict of all types of checks, without labels and with them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from bench.drift_streams import CHECKS
from mlops.api.drift_monitor import Check, Labels
from mlops.api.drift_monitor import Window as WindowSpec
from mlops.api.metrics import Metric
from mlops.statistics.reference import SortedReference
from mlops.statistics.two_sample import kolmogorov_smirnov
from mlops.workloads.drift.findings import Decision
from mlops.workloads.drift.reference import Reference, make_reference
from mlops.workloads.drift.verdict import decide
from mlops.workloads.drift.window import JudgedSpan, Window, window_of
from mlops.workloads.floor.model.signature import Signature

CHUNKS = 10


@dataclass(frozen=True)
class PublishedSet:
    """Files, columns, and what was published of each chunk."""

    name: str
    files: tuple[str, str, str]
    label: str
    probabilities: tuple[tuple[str, str], ...]
    estimates: tuple[tuple[Metric, tuple[float, ...]], ...]
    # A column that does not drift, and its Kolmogorov-Smirnov statistics.
    still: str = ""
    statistics: tuple[float, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in sorted order; none of a regression."""
        return tuple(sorted(name for name, _ in self.probabilities))


SETS = (
    PublishedSet(
        "car_loan",
        (
            "synthetic_car_loan_reference.csv",
            "synthetic_car_loan_analysis.csv",
            "synthetic_car_loan_analysis_target.csv",
        ),
        "repaid",
        (("0", "1-y_pred_proba"), ("1", "y_pred_proba")),
        (
            (
                "roc_auc",
                (0.970744, 0.971011, 0.971407, 0.971091, 0.971123, 0.96109, 0.961825, 0.961073, 0.962533, 0.961316),
            ),
            (
                "accuracy",
                (0.941792, 0.943321, 0.945492, 0.944816, 0.944645, 0.910714, 0.911149, 0.911193, 0.914389, 0.911731),
            ),
        ),
        "debt_to_income_ratio",
        (0.01576, 0.01268, 0.01734, 0.0128, 0.01918),
    ),
    PublishedSet(
        "multiclass",
        ("mc_reference.csv", "mc_analysis.csv", "mc_analysis_gt.csv"),
        "y_true",
        tuple((name, f"y_pred_proba_{name}") for name in ("highstreet_card", "prepaid_card", "upmarket_card")),
        (
            (
                "roc_auc",
                (0.907587, 0.910527, 0.910503, 0.909687, 0.907781, 0.819876, 0.820719, 0.819588, 0.81986, 0.821987),
            ),
            (
                "accuracy",
                (0.754192, 0.757301, 0.759008, 0.757555, 0.754411, 0.636898, 0.637819, 0.637937, 0.637649, 0.64051),
            ),
        ),
    ),
    PublishedSet(
        "car_price",
        (
            "regression_synthetic_reference.csv",
            "regression_synthetic_analysis.csv",
            "regression_synthetic_analysis_targets.csv",
        ),
        "y_true",
        (),
        (
            ("mae", (850.416, 849.534, 842.653, 848.798, 843.569, 715.261, 713.13, 711.792, 714.7, 704.657)),
            (
                "rmse",
                (1067.213, 1063.13, 1054.159, 1060.666, 1055.23, 928.513, 928.916, 927.916, 930.426, 919.398),
            ),
        ),
    ),
)


def reference_of(one: PublishedSet, data: Path) -> Reference:
    """All reference rows as rows that the model was tested on."""
    frame = _named(one, pl.read_csv(data / one.files[0]).rename({one.label: "label"}))
    frame = frame.with_columns(pl.lit("test").alias("part"))
    return make_reference(_signature(one, frame), frame, where=one.name)


def windows(one: PublishedSet, data: Path) -> Iterator[Window]:
    """Ten windows of equally many rows, with their labels."""
    targets = pl.read_csv(data / one.files[2]).rename({one.label: "label"})
    frame = _named(one, pl.read_csv(data / one.files[1]).join(targets, on="id", how="left", maintain_order="left"))
    rows = frame.height // CHUNKS
    for part in frame.iter_slices(rows):
        captured = part.with_columns(
            pl.int_range(part.height).cast(pl.String).alias("id"),
            pl.lit(0, pl.Int64).alias("row"),
            pl.lit(True).alias("live"),
        )
        times = captured["time"]
        yield window_of(captured, JudgedSpan(times[0], times[-1], times[-1]))


def _named(one: PublishedSet, frame: pl.DataFrame) -> pl.DataFrame:
    """Columns by the names that captures have: `in.*`, `out.*`, label, time."""
    answers = [f"y_pred_proba{name}" for name in ("", *(f"_{name}" for name in one.classes))]
    other = {"id", "timestamp", "y_pred", "label", *answers}
    text = bool(one.classes)
    said = [pl.col("y_pred"), pl.col("label")]
    columns = {
        f"out.p.{name}": 1.0 - pl.col(column[2:]) if column.startswith("1-") else pl.col(column)
        for name, column in one.probabilities
    }
    return frame.select(
        *(_input(name, dtype) for name, dtype in frame.schema.items() if name not in other),
        pl.col("timestamp").str.to_datetime(time_unit="us", time_zone="UTC", strict=True).alias("time"),
        *(
            (each.cast(pl.Int64).cast(pl.String) if text and frame.schema[of].is_numeric() else each).alias(name)
            for each, of, name in zip(said, ("y_pred", "label"), ("out.prediction", "label"), strict=True)
        ),
        *(expression.cast(pl.Float64).alias(name) for name, expression in columns.items()),
    )


def _input(name: str, dtype: pl.DataType) -> pl.Expr:
    kind = pl.Float64() if dtype.is_numeric() else pl.String()
    return pl.col(name).cast(kind).alias(f"in.{name}")


def _signature(one: PublishedSet, frame: pl.DataFrame) -> Signature:
    fields = [
        {
            "name": name.removeprefix("in."),
            "type": "float64" if dtype.is_numeric() else "string",
            "nullable": True,
        }
        for name, dtype in frame.schema.items()
        if name.startswith("in.")
    ]
    described = {
        "task": "classification" if one.classes else "regression",
        "format": "onnx",
        "inputs": fields,
        "columns": [{"name": each["name"], "type": each["type"]} for each in fields],
        "label": {"name": one.label, "type": "string" if one.classes else "float64"},
        "estimator": {"name": "LGBMClassifier" if one.classes else "LGBMRegressor"},
        "tolerance": "0.0001",
    }
    if one.classes:
        described |= {"classes": list(one.classes)}
    if len(one.classes) == 2:
        described |= {"positive": one.classes[1]}
    return Signature.model_validate(described)


def judged(reference: Reference, window: Window, checks: tuple[Check, ...]) -> Decision:
    """The decision of the pod."""
    return decide(
        reference, window, checks, limits=WindowSpec(duration="1d"), labels=Labels(min_coverage="0.2"), seed=1
    )


def without_labels(window: Window) -> Window:
    """The same window before a label has arrived."""
    frame = window.frame.with_columns(pl.lit(None, window.frame.schema["label"]).alias("label"))
    return window_of(frame.drop("judged"), window.span)


def show(one: PublishedSet, data: Path, *, estimates_only: bool) -> None:
    """Print the table of a set."""
    reference = reference_of(one, data)
    columns = [name for name, _ in one.estimates]
    print(f"\n{one.name}: {reference.frame.height} rows of reference")
    heads = "  ".join(f"{f'{name}: ours  published  measured':>34}" for name in columns)
    print(f"chunk  {heads}  detected  {'' if estimates_only else 'all, no labels   all, labels'}")
    for number, window in enumerate(windows(one, data)):
        cells, detected = [], []
        for metric, published in one.estimates:
            check = Check(name="estimate", type="EstimatedPerformance", metric=metric)
            found = judged(reference, window, (check,))
            estimated = found.estimated
            assert estimated is not None, found.findings[0].message
            assert estimated.measured is not None
            measured = estimated.measured.measured.value
            cells.append(f"{estimated.current.value:>14.6g}  {published[number]:>8.6g}  {measured:>8.6g}")
            detected.append("yes" if found.verdict == "EstimatedPerformance" else "no")
        every = (*CHECKS, Check(name="estimate", type="EstimatedPerformance"))
        sides = () if estimates_only else (without_labels(window), window)
        verdicts = "".join(f"{judged(reference, each, every).verdict:<17}" for each in sides)
        ks = ""
        if number < len(one.statistics):
            known = SortedReference.from_values(reference.frame[f"in.{one.still}"].to_numpy())
            statistic = kolmogorov_smirnov(known.values, window.frame[f"in.{one.still}"].to_numpy()).value
            ks = f"  KS of {one.still} {statistic:.5f}, published {one.statistics[number]:.5f}"
        print(f"{number + 1:>5}  {'  '.join(cells)}  {'/'.join(detected):>8}  {verdicts}{ks}", flush=True)


def main() -> int:
    """Print a table of each set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the sets' files")
    names = [each.name for each in SETS]
    parser.add_argument("--sets", nargs="+", choices=names, default=names, help="which sets (all)")
    parser.add_argument(
        "--estimates", action="store_true", help="no other types of checks, which take most of the time"
    )
    arguments = parser.parse_args()
    for one in SETS:
        if one.name in arguments.sets:
            if lacking := [name for name in one.files if not (arguments.data / name).is_file()]:
                parser.error(f"--data: {arguments.data} has no {', '.join(lacking)}: name nannyml/datasets/data")
            show(one, arguments.data, estimates_only=arguments.estimates)
    return 0


if __name__ == "__main__":
    sys.exit(main())
