"""The columns that captures and the reference share, and the spelling of classes."""

from __future__ import annotations

INPUT = "in."
PREDICTION = "out.prediction"
PROBABILITY = "out.p."
# Ties in time are broken by the row's identity, so that nothing depends on which file a row came from.
CANONICAL = ("time", "id", "row")


def class_text(value: str | int | float | bool) -> str:
    """A class of the model's description in the spelling of `records.columns.label_text`."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
