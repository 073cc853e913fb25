"""Delivered files beside CSV: where in a document or a workbook the rows are."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mlops.api.base import Model, text

FileFormat = Literal["parquet", "csv", "jsonl", "json", "arrow", "excel"]


class Json(Model):
    """Where in a JSON document its records are."""

    records: Annotated[
        str, text(r"^[^\x00.]+([.][^\x00.]+)*$", "keys with points between, such as data.items", 256)
    ] = Field(description="The path of the array of objects: keys with points between, such as data.items.")


class Excel(Model):
    """Where in a workbook its rows are."""

    sheet: Annotated[str, text(r"^[^\x00:\\/?*\[\]]{1,31}$", "a sheet's name as Excel allows it", 31)] | None = Field(
        default=None, description="The sheet's name; the only visible one if left out."
    )
    range: (
        Annotated[
            str,
            text(
                r"^[A-Z]{1,3}[1-9][0-9]{0,6}(:[A-Z]{1,3}[1-9][0-9]{0,6})?$",
                "a cell or two corners, such as B3 or B3:F200",
                21,
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="The cells that are read, the first row being the header: two corners, such as B3:F200, or the "
        "first cell, such as B3; all cells if left out.",
    )
