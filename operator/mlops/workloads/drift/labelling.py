"""Which rows people should label, if labels are what a check lacks.

The rows stand for the window: they are drawn in equal shares from parts of it, in time and by how sure the model was
of its answer. What is measured on them is then true of the window, as it would not be of the least sure rows alone,
and it varies less than of rows drawn at random. Rows that were asked for before are not asked for again, and all
checks together ask for no more rows of one window than the budget.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from mlops.api.base import format_time
from mlops.api.drift_task import DriftTask, LabelsWanted
from mlops.statistics.arrays import FloatArray, IntArray
from mlops.store.artifacts import Store
from mlops.workloads.drift.checks import CHECKS
from mlops.workloads.drift.findings import Decision
from mlops.workloads.drift.window import Window
from mlops.workloads.floor.records.layout import KEY, PREDICTION, PROBABILITY, asked_prefix, partition, partition_span

FILE = "label-request.jsonl"
# Parts of the window in time, and of each by how sure the answers were.
_TIMES, _SURENESS = 4, 5


@dataclass(frozen=True, eq=False)
class Request:
    """Rows to label (id, row), in the order drawn; `needed` labels are lacking, `asked_before` rows were asked for."""

    rows: pl.DataFrame
    asked_before: int
    needed: int
    key: str

    def lines(self) -> bytes:
        """A JSON object a line, as the feedback endpoint takes it once its label is filled in."""
        found = (json.dumps({"id": one, "row": row, "label": None}) for one, row in self.rows.select(KEY).iter_rows())
        return "".join(f"{line}\n" for line in found).encode()

    def told(self) -> LabelsWanted:
        """The same for the operator."""
        return LabelsWanted(rows=self.rows.height, asked_before=self.asked_before, needed=self.needed, file=FILE)


def request_of(store: Store, task: DriftTask, window: Window, decision: Decision, seed: int) -> Request | None:
    """Return the rows that the check asks for; None if the verdict calls for none, or if labels are not what lacks."""
    question = task.label_request
    if question is None or decision.verdict not in question.when:
        return None
    counts = window.counts
    wanted = math.ceil(float(task.labels.min_coverage) * counts.live_judged)
    needed = max(0, wanted - counts.live_labelled)
    if decision.verdict == "Inconclusive" and not _lacks_labels(task, window, needed):
        return None
    key = _key(task, window)
    known = _asked(store, task, window, but=key)
    # Not those of the window: of so many rows, others may be judged by label.
    rows = window.judged
    mine = rows.select(KEY).join(known, on=KEY, how="semi").height
    open_rows = rows.filter(pl.col("live") & pl.col("label").is_null() & pl.col(PREDICTION).is_not_null()).join(
        known, on=KEY, how="anti", maintain_order="left"
    )
    return Request(chosen(open_rows, max(0, question.budget - mine), seed), mine, needed, key)


def record(store: Store, request: Request) -> None:
    """Write down what was asked for, once the report is there: a check that is made again asks for the same rows."""
    if request.rows.height:
        store.put_object(request.key, request.lines())


def _lacks_labels(task: DriftTask, window: Window, needed: int) -> bool:
    asks = any(CHECKS[check.type].needs_labels for check in task.checks)
    return asks and needed > 0 and window.counts.live_judged >= task.window.min_samples


def chosen(rows: pl.DataFrame, number: int, seed: int) -> pl.DataFrame:
    """Return so many of the rows (in time order), the same share of each part of them. Pure, but for the seed."""
    if number == 0 or rows.height == 0:
        return rows.clear()
    part = _parts(rows)
    place = np.empty(rows.height)
    rng = np.random.Generator(np.random.PCG64(seed))
    for each in np.unique(part):
        members = np.flatnonzero(part == each)
        place[rng.permutation(members)] = (np.arange(members.size) + 0.5) / members.size
    # The parts take turns, so that the first of the rows stand for the window, too.
    order: list[int] = np.lexsort((part, place))[:number].tolist()
    return rows[order]


def _parts(rows: pl.DataFrame) -> IntArray:
    """The part of each row (n,): a quarter of the time, and in it a fifth by how sure its answer was."""
    quarter = np.arange(rows.height) * _TIMES // rows.height
    sure = _sureness(rows)
    part = np.empty(rows.height, dtype=np.int64)
    for number in range(_TIMES):
        members = np.flatnonzero(quarter == number)
        rank = np.argsort(np.argsort(sure[members], kind="stable"), kind="stable")
        part[members] = number * _SURENESS + rank * _SURENESS // max(1, members.size)
    return part


def _sureness(rows: pl.DataFrame) -> FloatArray:
    """How far the most probable class is ahead of the next one (n,); 0 where the model gives no probabilities."""
    columns = [name for name in rows.columns if name.startswith(PROBABILITY)]
    if len(columns) < 2:
        return np.zeros(rows.height)
    table = np.sort(rows.select(columns).fill_null(0.0).to_numpy(), axis=1)
    return np.asarray(table[:, -1] - table[:, -2], dtype=np.float64)


def _prefix(task: DriftTask) -> str:
    return asked_prefix(task.namespace, task.target.model_name, task.target.stage)


def _key(task: DriftTask, window: Window) -> str:
    end = window.span.end
    return f"{_prefix(task)}{partition(end, monthly=False)}{task.monitor}-{format_time(end)}.jsonl"


def _asked(store: Store, task: DriftTask, window: Window, *, but: str) -> pl.DataFrame:
    """Return the rows (id, row) that checks have asked for whose windows may share some with this one."""
    found: dict[tuple[str, int], None] = {}
    for listed in store.list(_prefix(task)):
        span = partition_span(listed.key)
        if listed.key != but and span is not None and span[1] > window.judged_span.start:
            found |= dict.fromkeys(_identities(store.get_object(listed.key)))
    schema = {"id": pl.String(), "row": pl.Int64()}
    return pl.DataFrame(list(found), schema=schema, orient="row")


def _identities(content: bytes) -> Iterator[tuple[str, int]]:
    for line in content.splitlines():
        try:
            said = json.loads(line)
            yield str(said["id"]), int(said["row"])
        except (ValueError, KeyError, TypeError):
            # Not a line of ours: it asks for nothing.
            continue
