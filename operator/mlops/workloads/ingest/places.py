"""Where in a file each column of the contract is: by its name in the header, or by its position."""

from __future__ import annotations

from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.blocks import Blocks
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.problems import format_error, shown
from mlops.workloads.ingest.typed import check_columns, column_of

_DELIMITERS = (";", "\t", "|", ",")
_NAMES = {"\t": "\\t"}


def check_names(blocks: Blocks, contract: Contract) -> None:
    """Raise BadInput if a column is not in the header, or if it is there twice."""
    named = [field for field in contract.fields if field.position is None]
    if not blocks.header:
        return
    for field in named:
        places = [i + 1 for i, one in enumerate(blocks.header) if one == column_of(field)]
        if len(places) > 1:
            listed = " or ".join(map(str, places))
            raise format_error(
                blocks.name,
                f'the header has column "{shown(column_of(field))}" twice: say position: {listed} in its place',
            )
    try:
        check_columns(blocks.name, blocks.header, contract.fields, contract.pii)
    except BadInput as error:
        if hint := _dialect_hint(blocks, contract):
            message = error.message.removesuffix("; is the header missing?")
            raise BadInput(error.reason, f"{message}; {hint}") from error
        raise


def positions_of(blocks: Blocks, width: int, contract: Contract) -> list[int]:
    """Return the index of each field's column. Raises BadInput for a position that the file has not."""
    found = []
    for i, field in enumerate(contract.fields):
        if field.position is not None and field.position > width:
            raise format_error(
                blocks.name,
                f"spec.fields[{i}].position is {field.position}, and the rows have {width} fields"
                + (f": {hint}" if (hint := _delimiter_hint(blocks)) else ": make it less"),
            )
        found.append(blocks.header.index(column_of(field)) if field.position is None else field.position - 1)
    return found


def _dialect_hint(blocks: Blocks, contract: Contract) -> str:
    """Return what to declare so that the header has the contract's columns."""
    wanted = {column_of(field) for field in contract.fields if field.position is None}
    lines = blocks.head.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")[:50]
    delimiter = blocks.csv.delimiter
    for skipped, line in enumerate(lines):
        for other in dict.fromkeys((delimiter, *_DELIMITERS)):
            names = {part.strip(" \"'") for part in line.split(other)}
            if wanted <= names:
                said = [f'spec.csv.delimiter: "{_NAMES.get(other, other)}"'] if other != delimiter else []
                said += [f"spec.csv.skipRows: {blocks.csv.skip_rows + skipped}"] if skipped else []
                return f"say {' and '.join(said)}" if said else ""
    return ""


def _delimiter_hint(blocks: Blocks) -> str:
    line = blocks.head.decode(errors="replace").split("\n")[0]
    counts = {other: line.count(other) for other in _DELIMITERS if other != blocks.csv.delimiter}
    best = max(counts, key=lambda one: counts[one])
    return f'is spec.csv.delimiter "{_NAMES.get(best, best)}"?' if counts[best] else ""
