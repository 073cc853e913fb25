"""The dialect of delimited text in the form that the reader needs: signs as bytes of UTF-8."""

from __future__ import annotations

from dataclasses import dataclass

from mlops.api.dataset import DataField
from mlops.api.delimited import Csv
from mlops.api.reasons import Reason
from mlops.workloads.floor.pod import BadInput


@dataclass(frozen=True)
class Dialect:
    """What has a meaning in the text of a file."""

    delimiter: bytes
    quote: bytes
    escape: bytes
    comment: bytes
    # Empty: LF, CRLF or CR, whichever ends the first row.
    row_delimiter: bytes
    skip_blanks: bool = False


@dataclass(frozen=True)
class Notation:
    """How values are written."""

    decimal: str = "."
    thousands: str | None = None
    null_values: tuple[str, ...] = ()
    true_values: tuple[str, ...] = ()
    false_values: tuple[str, ...] = ()
    # Whether spec.csv declares it; elsewhere text is in the plain one.
    of_csv: bool = False

    def nulls_of(self, field: DataField) -> tuple[str, ...]:
        """Return the texts that mean a missing value in the field's column."""
        return self.null_values if field.null_values is None else field.null_values


PLAIN = Notation()


def dialect_of(csv: Csv) -> Dialect:
    """Return the dialect. Raises BadInput where two of its signs mean the same."""
    escape = "" if csv.escape == csv.quote else csv.escape
    dialect = Dialect(
        csv.delimiter.encode(),
        csv.quote.encode(),
        escape.encode(),
        (csv.comment or "").encode(),
        (csv.row_delimiter or "").encode(),
        csv.skip_initial_space,
    )
    ends = dialect.row_delimiter or b"\r\n"
    for field, sign in (("delimiter", dialect.delimiter), ("quote", dialect.quote), ("escape", dialect.escape)):
        if any(byte in ends for byte in sign):
            raise BadInput(
                Reason.SCHEMA_MISMATCH,
                f"spec.csv.{field}: {sign.decode()!r} is in what ends a row: say spec.csv.rowDelimiter too",
            )
    for field, sign in (("quote", dialect.quote), ("escape", dialect.escape)):
        if sign and sign in dialect.delimiter:
            raise BadInput(
                Reason.SCHEMA_MISMATCH,
                f'spec.csv.delimiter: {csv.delimiter!r} holds spec.csv.{field}: set spec.csv.{field} to ""',
            )
    return dialect


def notation_of(csv: Csv) -> Notation:
    """Return how values are written."""
    return Notation(csv.decimal, csv.thousands, csv.null_values, csv.true_values, csv.false_values, of_csv=True)
