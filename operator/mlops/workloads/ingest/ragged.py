"""Rows with more or fewer fields than the header: refused, filled up or put aside, as the contract declares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlops.api.reasons import Reason
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.blocks import Blocks
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.problems import format_error
from mlops.workloads.ingest.structure import Mask, Structure

# What is put aside is held in memory until it is known whether it is too much.
MAX_BYTES = 16 << 20


@dataclass(frozen=True)
class Rejected:
    """A row that is put aside with its text."""

    file: str
    row: int
    line: int
    problem: str
    text: str


def judged(block: Structure, blocks: Blocks, width: int, contract: Contract, rejected: list[Rejected]) -> Mask:
    """Return which rows of the block are read. Raises BadInput for the first that may not be there."""
    rows = np.ones(len(block.starts), dtype=bool)
    wrong = np.flatnonzero(block.widths != width)
    for row in wrong.tolist():
        has = int(block.widths[row])
        if contract.csv.ragged == "Pad" and (has < width or _is_empty_beyond(block, blocks, row, width)):
            continue
        number, line = blocks.rows + row + 1, blocks.line_of(block.text, int(block.starts[row]))
        first = "the header" if blocks.header else "the first row"
        problem = f"has {has} field{'s' if has != 1 else ''}, {first} has {width}"
        if contract.csv.ragged != "Quarantine":
            way_out = _way_out(block, blocks, row, width)
            raise format_error(blocks.name, f"row {number} (line {line}) {problem}: {way_out}")
        text = block.text[int(block.starts[row]) : int(block.ends[row])].decode()
        rejected.append(Rejected(blocks.name, number, line, problem, text))
        rows[row] = False
    if len(wrong) and sum(len(one.text) for one in rejected) > MAX_BYTES:
        raise BadInput(
            Reason.REJECTED,
            f"{blocks.name}: more than {MAX_BYTES >> 20} MiB of rows have another number of fields than the header: "
            "check spec.csv.delimiter",
        )
    return rows


def _is_empty_beyond(block: Structure, blocks: Blocks, row: int, width: int) -> bool:
    return not any(block.fields_of(row, blocks.dialect)[width:])


def _way_out(block: Structure, blocks: Blocks, row: int, width: int) -> str:
    if block.widths[row] < width or _is_empty_beyond(block, blocks, row, width):
        return "say spec.csv.ragged: Pad if what is missing at its end is empty"
    return "put the field that holds a delimiter in quotes, or say spec.csv.ragged: Quarantine"
