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
    return value if translate is None else translate(_Asked(where, text, value), meaning)


def _monotonic(asked: _Asked, meaning: Meaning) -> Any:
    if asked.value is None:
        return None
    wanted = _of_columns(asked, meaning)
    if wrong := [one for one in wanted.values() if isinstance(one, bool) or one not in (-1, 0, 1)]:
        raise asked.refused(f"{wrong[0]!r}: a column is 1 (rising), -1 (falling) or 0 (free)")
    kinds = {column.name: column.type for column in meaning.columns}
    if texts := [name for name, one in wanted.items() if one and kinds[name] == "string"]:
        raise asked.refused(f"{texts[0]!r} is a string, which has no order to rise or fall in: write 0 for it")
    # Of two classes, scikit-learn constrains the probability of the last.
    sign = 1 if meaning.classes is None or meaning.positive in (None, meaning.classes[-1]) else -1
    vector = [0] * width(meaning.encoding)
    for name, one in wanted.items():
        if one:
            vector[meaning.places[name]] = sign * one
    return vector


def _of_columns(asked: _Asked, meaning: Meaning) -> Mapping[str, Any]:
    """Return name -> value of a mapping by name, or of a list with one value for each column of the contract."""
    names = meaning.names
    if isinstance(asked.value, dict):
        for name in asked.value:
            _known_column(asked, name, names)
        return asked.value
    if not isinstance(asked.value, list) or len(asked.value) != len(names):
        raise asked.refused(
            f"write {{column: value}}, or a list of {len(names)} values in the order of the contract: {_listed(names)}"
        )
    return dict(zip(names, asked.value, strict=True))


def _known_column(asked: _Asked, name: str, names: list[str]) -> None:
    if name not in names:
        raise asked.refused(f"{name!r} is no feature; there are: {_listed(names)}")


def _interaction(asked: _Asked, meaning: Meaning) -> Any:
    """Groups of columns, by names or by positions in the contract; words stay what they are."""
    if asked.value is None or isinstance(asked.value, str):
        return asked.value
    if not isinstance(asked.value, list) or not all(isinstance(group, list) for group in asked.value):
        raise asked.refused(
            "write groups of features, such as [[price, count], [region]], or pairwise, or no_interactions"
        )
    # Columns in no group form one of their own in scikit-learn, as they do here: no flags are in the way.
    return [[_place(asked, one, meaning) for one in group] for group in asked.value]


def _place(asked: _Asked, one: Any, meaning: Meaning) -> int:
    names = meaning.names
    if isinstance(one, int) and not isinstance(one, bool):
        if not 0 <= one < len(names):
            raise asked.refused(f"{one}: positions go from 0 to {len(names) - 1}: {_listed(names)}")
        one = names[one]
    _known_column(asked, str(one), names)
    return meaning.places[str(one)]


def _class_weight(asked: _Asked, meaning: Meaning) -> Any:
    if isinstance(asked.value, dict):
        return {_code(asked, name, meaning): _number(asked, one) for name, one in asked.value.items()}
    if isinstance(asked.value, list):
        names = meaning.class_names
        raise asked.refused(f"write a weight by class, such as {{{names[0]!r}: 1, {names[-1]!r}: 5}}, or balanced")
    return asked.value


def _priors(asked: _Asked, meaning: Meaning) -> Any:
    names = meaning.class_names
    if asked.value is None or isinstance(asked.value, str):
        return asked.value
    if isinstance(asked.value, dict):
        for name in asked.value:
            _code(asked, name, meaning)
    ordered = [asked.value.get(name) for name in names] if isinstance(asked.value, dict) else asked.value
    if not isinstance(ordered, list) or len(ordered) != len(names) or None in ordered:
        raise asked.refused(f"it takes one number for each of the {len(names)} classes: {_listed(names)}")
    return [_number(asked, one) for one in ordered]


def _constant(asked: _Asked, meaning: Meaning) -> Any:
    if asked.value is None:
        return None
    if meaning.classes is None:
        return _number(asked, asked.value)
    return _code(asked, unquoted(asked.text), meaning)


def _code(asked: _Asked, name: str, meaning: Meaning) -> int:
    names = meaning.class_names
    wanted = name.lower() if meaning.classes and isinstance(meaning.classes[0], bool) else name
    if wanted not in names:
        raise asked.refused(f"{name!r} is no class of the label; there are: {_listed(names)}")
    return names.index(wanted)


def _number(asked: _Asked, one: Any) -> Any:
    if isinstance(one, bool) or not isinstance(one, int | float):
        raise asked.refused(f"{one!r} is no number")
    return one


def _scoring(asked: _Asked, meaning: Meaning) -> Any:
    """scikit-learn's scores of one class speak of the last one."""
    last = meaning.classes[-1] if meaning.classes else None
    if asked.value in _OF_ONE_CLASS and meaning.positive not in (None, last):
        raise asked.refused(f"it would be that of {class_name(last)!r}: write {asked.value}_macro")  # type: ignore[arg-type]
    return asked.value


_OF_ONE_CLASS = frozenset({"f1", "jaccard", "precision", "recall"})


def _one_number(asked: _Asked, _: Meaning) -> Any:
    if isinstance(asked.value, list | dict):
        raise asked.refused("it would go by columns of the encoded matrix, which nobody sees: write one number")
    return asked.value


def _no_matrix(asked: _Asked, _: Meaning) -> Any:
    if isinstance(asked.value, list | dict):
        raise asked.refused("it would be of the encoded matrix, which nobody sees: write true or false")
    return asked.value


def _no_lists(asked: _Asked, _: Meaning) -> Any:
    if isinstance(asked.value, dict) and any(isinstance(one, list | dict) for one in asked.value.values()):
        raise asked.refused(
            "a list in it would go by columns of the encoded matrix, which nobody sees: multiply the column itself, in "
            "spec.features of the Dataset"
        )
    return asked.value


def _listed(names: list[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


BY_POSITION: Mapping[str, Callable[[_Asked, Meaning], Any]] = {
    "monotonic_cst": _monotonic,
    "interaction_cst": _interaction,
    "class_weight": _class_weight,
    "priors": _priors,
    "class_prior": _priors,
    "constant": _constant,
    "scoring": _scoring,
    "alpha": _one_number,
    "precompute": _no_matrix,
    "metric_params": _no_lists,
}
