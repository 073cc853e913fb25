"""What the process that encodes records knows of the model: plain values, so that it imports neither types nor engines.

See `encoder`, which makes it, and `encoding`, which gets it as JSON.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class RecordedInput:
    """An input of the model: its type, and whether it is recorded as missing."""

    name: str
    type: str
    redacted: bool


@dataclass(frozen=True)
class RecordedClass:
    """A class as the model answers it, and its name in records."""

    value: bool | int | str
    name: str


@dataclass(frozen=True)
class RecordPlan:
    """Where a stage's records lie, who answered, and what their columns hold."""

    namespace: str
    model_name: str
    stage: str
    version: int
    digest: str
    inputs: tuple[RecordedInput, ...]
    # Of a classifier, in the order of its probabilities.
    classes: tuple[RecordedClass, ...] | None
    # Whether labels are whole numbers of 64 bits.
    whole_labels: bool
    # The pod, for the names of files.
    host: str
    # Whether these are answers that were never returned.
    shadow: bool = False

    def dump(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)

    @classmethod
    def load(cls, document: dict[str, Any]) -> RecordPlan:
        """Return what `dump` has given."""
        classes = document["classes"]
        return cls(
            **{
                **document,
                "inputs": tuple(RecordedInput(**one) for one in document["inputs"]),
                "classes": None if classes is None else tuple(RecordedClass(**one) for one in classes),
            }
        )
