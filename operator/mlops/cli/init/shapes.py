"""What all lines of delimited files are: names, rows, a footer, comments."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlops.api.delimited import Csv
from mlops.cli.errors import UserError
from mlops.cli.init.delivery import Delivery
from mlops.cli.init.footers import Widths
from mlops.workloads.ingest.blocks import Blocks
from mlops.workloads.ingest.delimited import MAX_COLUMNS


@dataclass
class Shape:
    """The dialect with what is no row in it, the names of the columns, and what is told."""

    csv: Csv
    header: list[str]
    notes: list[str]


def shape_of(delivery: Delivery, csv: Csv) -> Shape:
    """Return the dialect with what rows of another width are: a footer, comments, or rows that are padded."""
    found = [_rows_of(path, csv) for path in delivery.copies]
    header, first = found[0]
    notes = []
    for path, (names, _) in zip(delivery.copies, found, strict=True):
        if names != header:
            raise UserError(
                f"{path.name}: its header is {', '.join(names)[:120]}, and that of {delivery.copies[0].name} is "
                f"{', '.join(header)[:120]}: name files with the same columns"
            )
    if first.width > MAX_COLUMNS:
        raise UserError(f"{delivery.names}: {first.width} columns: at most {MAX_COLUMNS} are read")
    if csv.skip_rows:
        notes.append(f"the first {csv.skip_rows} lines are left out: they stand before the names")
    if csv.header > 1:
        notes.append(f"{csv.header} rows hold the columns' names: they are joined")
    files = [rows for _, rows in found]
    comments = {rows.comment for rows in files if rows.odd}
    footers = {rows.footer for rows in files}
    if len(comments) == 1 and None not in comments and footers != {len(first.odd)}:
        (sign,) = comments
        notes.append(f"lines that begin with {sign} are left out: they are no rows, as their widths show")
        return Shape(csv.evolve(comment=sign), header, notes)
    for path, rows in zip(delivery.copies, files, strict=True):
        if rows.is_cut_off:
            raise UserError(
                f"{path.name}: the last row, {rows.count}, is cut off: it has {rows.odd[-1][1]} of {rows.width} "
                "fields, and they are values: fetch the file again, or take the row out"
            )
        if rows.footer:
            notes.append(
                f"the last {rows.footer} lines of {path.name} are no rows: they have fewer fields, or no values"
            )
    if len(footers) > 1:
        raise UserError(
            f"{delivery.names}: {'; '.join(notes)}; other files end otherwise: leave those lines out of all"
        )
    ragged = False
    for path, rows in zip(delivery.copies, files, strict=True):
        odd = [one for one in rows.odd if one[0] < rows.count - rows.footer]
        if odd:
            ragged = True
            notes.append(
                f"{len(odd)} rows of {path.name} have more or fewer fields than the header, "
                f"the first is {odd[0][0] + 1}"
            )
    csv = csv.evolve(footer_rows=first.footer) if first.footer else csv
    return Shape(csv.evolve(ragged="Pad") if ragged else csv, header, notes)


def _rows_of(path: Path, csv: Csv) -> tuple[list[str], Widths]:
    blocks = Blocks(path, path.name, csv)
    rows = Widths(csv, blocks.read_header())
    blocks.single_column = rows.width == 1
    for block in blocks:
        rows.add(block)
    return blocks.header or [""] * rows.width, rows
