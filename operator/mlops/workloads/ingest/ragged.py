"""Rows with more or fewer fields than the header: refused, filled up or put aside, as the contract declares."""

from __future__ import annotations

import numpy as np

from mlops.workloads.ingest.aside import RAGGED, RowsAside
from mlops.workloads.ingest.blocks import Blocks, line_of
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.problems import format_error
from mlops.workloads.ingest.structure import Mask, Places, Structure


def judged(block: Structure, blocks: Blocks, width: int, contract: Contract, rejected: RowsAside) -> Mask:
    """Return which rows of the block are read. Raises BadInput for the first that may not be there."""
    rows = np.ones(len(block.starts), dtype=bool)
    wrong = np.flatnonzero(block.widths != width)
    if contract.csv.ragged == "Pad":
        wrong = wrong[~_is_padding(block, blocks, wrong, width)]
    for row in wrong.tolist():
        has = int(block.widths[row])
        if contract.csv.ragged == "Pad" and _is_empty_beyond(block, blocks, row, width):
            continue
        first = "the header" if blocks.header else "the first row"
        problem = f"has {has} field{'s' if has != 1 else ''}, {first} has {width}"
        if contract.csv.ragged != "Quarantine":
            way_out = _way_out(block, blocks, row, width)
            line = line_of(block.text, int(block.starts[row]), block.row_end, block.lines_before)
            raise format_error(blocks.name, f"row {block.rows_before + row + 1} (line {line}) {problem}: {way_out}")
        rejected.add(blocks, block, row, RAGGED, problem)
        rows[row] = False
    return rows


def _is_padding(block: Structure, blocks: Blocks, wrong: Places, width: int) -> Mask:
    """Return which of the rows are too short, or have nothing but delimiters beyond the header."""
    widths = block.widths[wrong]
    padding: Mask = widths < width
    long = np.flatnonzero(~padding)
    beyond = block.ends[wrong[long]] - block.delimiters[block.before[wrong[long]] + width - 1]
    padding[long] = beyond == (widths[long] - width) * len(blocks.dialect.delimiter)
    return padding


def _is_empty_beyond(block: Structure, blocks: Blocks, row: int, width: int) -> bool:
    return not any(block.fields_of(row, blocks.dialect)[width:])


def _way_out(block: Structure, blocks: Blocks, row: int, width: int) -> str:
    if block.widths[row] < width or _is_empty_beyond(block, blocks, row, width):
        return "say spec.csv.ragged: Pad if what is missing at its end is empty"
    return "put the field that holds a delimiter in quotes, or say spec.csv.ragged: Quarantine"
