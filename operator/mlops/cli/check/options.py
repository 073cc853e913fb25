"""What the command line says of two sets of rows that are compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlops.cli.init.options import InitOptions
from mlops.cli.state import State


@dataclass(frozen=True)
class CheckOptions:
    """The options of `mlops check`."""

    reference: str
    current: str
    state: State
    namespace: str = "default"
    label: str | None = None
    prediction: str | None = None
    # A column, or CLASS=COLUMN for each class.
    probability: tuple[str, ...] = ()
    positive: str | None = None
    task: str | None = None  # classification, regression
    time: str | None = None
    keys: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    alpha: str = "0.01"
    min_effect_size: str = "0.1"
    correction: str = "BenjaminiHochberg"
    metric: str | None = None
    # ACTUAL:PREDICTED=COST, or ACTUAL:PREDICTED=COST*COLUMN.
    costs: tuple[str, ...] = ()
    min_drop: str | None = None
    min_samples: int = 100
    max_samples: int = 100_000
    output: str = "text"  # text, json
    html: Path | None = None
    exit_zero: bool = False
    # How text is read, where it does not settle it.
    dates: str | None = None
    decimal: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    time_zone: str | None = None

    def reading(self, name: str) -> InitOptions:
        """Return the options by which one side is read."""
        return InitOptions(
            files=(name,),
            state=self.state.folder,
            dates=self.dates,
            decimal=self.decimal,
            delimiter=self.delimiter,
            encoding=self.encoding,
            time_zone=self.time_zone or "UTC",
        )
