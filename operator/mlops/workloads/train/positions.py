"""Parameters that mean columns or classes by their position: from the contract's words to the matrix's order.

The matrix that an estimator gets has an order of its own (numbers, then flags of missing numbers, then texts), and
classes are their indices. Whoever writes `monotonic_cst` or `class_weight` knows neither: they write names, or
positions in the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlops.api.parameter_text import unquoted
from mlops.api.positions import Known, wrong_position
from mlops.api.reasons import Reason
from mlops.workloads.floor.model.encoding import slots, width
from mlops.workloads.floor.model.signature import Encoding, ModelColumn, class_name
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.train.fit import Class


@dataclass(frozen=True)
class Meaning:
    """What names and positions mean: columns in the contract's order (computed ones last), the matrix, the classes."""

    columns: tuple[ModelColumn, ...]
    encoding: Encoding
    classes: tuple[Class, ...] | None = None
    positive: Class | None = None

    @property
    def names(self) -> list[str]:
        """Return the columns' names in the contract's order."""
        return [column.name for column in self.columns]

    @property
    def class_names(self) -> list[str]:
        """Return the classes as texts, in the order of their indices."""
        return [class_name(one) for one in self.classes or ()]

    @property
    def known(self) -> Known:
        """Return what a manifest's words are held against."""
        return Known(
            classifies=self.classes is not None,
            columns={column.name: column.type for column in self.columns},
            classes=None if self.classes is None else tuple(self.class_names),
            all_there=True,
            booleans=bool(self.classes) and isinstance((self.classes or ("",))[0], bool),
        )

    @property
    def places(self) -> dict[str, int]:
        """Return each column's place in the matrix, of those that have just one (and perhaps a flag)."""
        numbers, flags = len(self.encoding.numbers), len(self.encoding.flags)
        found = {number.column: place for place, number in enumerate(self.encoding.numbers)}
        place = numbers + flags
        for text in self.encoding.texts:
            if text.kind == "ordinal":
                found[text.column] = place
            place += slots(text)
        return found


@dataclass(frozen=True)
class _Asked:
    """A parameter as it was written, and where."""

    where: str
    text: str
    value: Any

    def refused(self, problem: str) -> BadInput:
        return BadInput(Reason.PARAMETER_INVALID, f"{self.where}: {self.text!r}: {problem}")


def translated(parameter: str, text: str, value: Any, meaning: Meaning, where: str) -> Any:
    """Return the value as scikit-learn takes it for the encoded matrix: `value` itself where no position is meant.

    Raises BadInput(ParameterInvalid) naming the parameter, its value and the way out.
    """
    translate = BY_POSITION.get(parameter)
    if translate is None:
        return value
    asked = _Asked(where, text, value)
    if problem := wrong_position(parameter, text, meaning.known):
        raise asked.refused(problem)
    return translate(asked, meaning)


def _monotonic(asked: _Asked, meaning: Meaning) -> Any:
    if asked.value is None:
        return None
    named = isinstance(asked.value, dict)
    wanted = asked.value if named else dict(zip(meaning.names, asked.value, strict=True))
    # Of two classes, scikit-learn constrains the probability of the last.
    sign = 1 if meaning.classes is None or meaning.positive in (None, meaning.classes[-1]) else -1
    vector = [0] * width(meaning.encoding)
    for name, one in wanted.items():
        if one:
            vector[meaning.places[name]] = sign * one
    return vector


def _interaction(asked: _Asked, meaning: Meaning) -> Any:
    """Groups of columns, by names or by positions in the contract; words stay what they are."""
    if asked.value is None or isinstance(asked.value, str):
        return asked.value
    # Columns in no group form one of their own in scikit-learn, as they do here: no flags are in the way.
    return [[_place(one, meaning) for one in group] for group in asked.value]


def _place(one: Any, meaning: Meaning) -> int:
    is_position = isinstance(one, int) and not isinstance(one, bool)
    return meaning.places[meaning.names[one] if is_position else str(one)]


def _class_weight(asked: _Asked, meaning: Meaning) -> Any:
    if isinstance(asked.value, dict):
        return {_code(name, meaning): one for name, one in asked.value.items()}
    return asked.value


def _priors(asked: _Asked, meaning: Meaning) -> Any:
    if not isinstance(asked.value, dict):
        return asked.value
    by_class = {_code(name, meaning): one for name, one in asked.value.items()}
    return [by_class[code] for code in sorted(by_class)]


def _constant(asked: _Asked, meaning: Meaning) -> Any:
    if meaning.classes is None:
        return asked.value
    is_class = asked.value is not None or unquoted(asked.text) in meaning.class_names
    return _code(unquoted(asked.text), meaning) if is_class else None


def _code(name: str, meaning: Meaning) -> int:
    return meaning.class_names.index(meaning.known.class_of(name))


def _scoring(asked: _Asked, meaning: Meaning) -> Any:
    """scikit-learn's scores of one class speak of the last one."""
    last = meaning.classes[-1] if meaning.classes else None
    if asked.value in _OF_ONE_CLASS and meaning.positive not in (None, last):
        raise asked.refused(f"it would be that of {class_name(last)!r}: write {asked.value}_macro")  # type: ignore[arg-type]
    return asked.value


_OF_ONE_CLASS = frozenset({"f1", "jaccard", "precision", "recall"})


def _as_written(asked: _Asked, _: Meaning) -> Any:
    return asked.value


BY_POSITION: Mapping[str, Callable[[_Asked, Meaning], Any]] = {
    "monotonic_cst": _monotonic,
    "interaction_cst": _interaction,
    "class_weight": _class_weight,
    "priors": _priors,
    "class_prior": _priors,
    "constant": _constant,
    "scoring": _scoring,
    "alpha": _as_written,
    "precompute": _as_written,
    "metric_params": _as_written,
}
