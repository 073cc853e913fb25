"""What a model answers though it has not learnt it: values outside the Dataset's contract, texts that training never
saw. A server answers such rows, too; here it is told."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from mlops.api.dataset import Validation
from mlops.cli.predict.rows import Fields
from mlops.workloads.floor.model.signature import Signature
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.typed import shown
from mlops.workloads.ingest.validation import checks_of

_LISTED = 8


class Remarks:
    """Each is made once, at the first row that it is about."""

    def __init__(self, fields: Fields, signature: Signature) -> None:
        known = tuple(fields.of(one.name).evolve(nullable=True) for one in fields.inputs)
        dataset = f"Dataset {fields.dataset.metadata.name}" if fields.dataset else "the Dataset"
        checks = checks_of(Contract(known, {}, fields.pii), Validation())
        # What is infinite is refused.
        self._left = [
            (one.column, one.broken, f"{one.title}: {dataset} has no such rows")
            for one in checks
            if one.column is not None and one.broken is not None and not one.title.endswith("is infinite")
        ]
        seen = {column.name for column in signature.columns}
        declared = {one.name for one in known if one.enum is not None}
        for one in signature.inputs:
            if one.categories and one.name in seen and one.name not in declared:
                listed = ", ".join(map(shown, one.categories[:_LISTED])) + (
                    ", …" if len(one.categories) > _LISTED else ""
                )
                unseen = ~pl.col(one.name).is_in(list(one.categories)) & (pl.col(one.name) != "")
                self._left.append((one.name, unseen, f"{one.name} has a text that training never saw: {listed}"))
        self._pii = fields.pii

    def of(self, frame: pl.DataFrame, first: int) -> Iterator[str]:
        """Yield what is remarkable in rows, `first` being the number of the first, and was not said yet."""
        left = []
        for column, broken, said in self._left:
            rows = frame.select(broken.fill_null(False).alias("broken")).to_series()
            if not rows.any():
                left.append((column, broken, said))
                continue
            at = int(rows.arg_max() or 0)
            value = "" if column in self._pii else f" ({shown(frame[column][at])})"
            yield f"row {first + at}{value}: {said}"
        self._left = left
