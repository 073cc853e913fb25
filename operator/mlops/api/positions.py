"""Parameters that mean columns or classes: what is wrong with how they are written, as far as one knows the data.

scikit-learn takes positions in a matrix that nobody sees, and indices of classes. Users write names, or positions in
the contract; the training pod translates them, and asks here what cannot be translated, as who reads manifests does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops.api.dataset import FieldType
from mlops.api.parameter_text import parse, unquoted


@dataclass(frozen=True)
class Known:
    """What names and positions can mean. None: it is not known yet.

    `columns` are those that a model sees, in the contract's order, each with its type, if that is known. `classes` are
    texts; only where they are `all_there` each of them has rows. `booleans`: they are false and true.
    """

    classifies: bool
    columns: Mapping[str, FieldType | None] | None = None
    classes: tuple[str, ...] | None = None
    all_there: bool = False
    booleans: bool = False

    def class_of(self, name: str) -> str:
        """Return a class's name as classes are called here."""
        return name.lower() if self.booleans else name


def wrong_position(parameter: str, text: str, known: Known) -> str | None:
    """Return what is wrong with a parameter's text, and what to write instead; None if nothing can be seen to be."""
    judge = _JUDGES.get(parameter)
    return None if judge is None else next(iter(judge(text, parse(text), known)), None)


def _monotonic(_: str, value: Any, known: Known) -> Iterable[str]:
    if value is None:
        return
    names = None if known.columns is None else list(known.columns)
    if isinstance(value, dict):
        yield from _unknown_columns(value, names)
    elif not isinstance(value, list) or (names is not None and len(value) != len(names)):
        yield "write {column: value}, " + (
            "or a list of one value for each feature in the order of the contract"
            if names is None
            else f"or a list of {len(names)} values in the order of the contract: {listed(names)}"
        )
        return
    values = list(value.values()) if isinstance(value, dict) else value
    for one in values:
        if isinstance(one, bool) or one not in (-1, 0, 1):
            yield f"{one!r}: a column is 1 (rising), -1 (falling) or 0 (free)"
    if known.columns is None:
        return
    wanted = value if isinstance(value, dict) else dict(zip(known.columns, value, strict=True))
    for name, one in wanted.items():
        if one and known.columns[name] == "string":
            yield f"{name!r} is a string, which has no order to rise or fall in: write 0 for it"


def _unknown_columns(named: Iterable[str], names: Sequence[str] | None) -> Iterable[str]:
    if names is not None:
        yield from (f"{name!r} is no feature; there are: {listed(names)}" for name in named if name not in names)


def _interaction(_: str, value: Any, known: Known) -> Iterable[str]:
    if value is None or isinstance(value, str):
        return
    if not isinstance(value, list) or not all(isinstance(group, list) for group in value):
        yield "write groups of features, such as [[price, count], [region]], or pairwise, or no_interactions"
        return
    names = None if known.columns is None else list(known.columns)
    for one in (one for group in value for one in group):
        if isinstance(one, int) and not isinstance(one, bool):
            if names is not None and not 0 <= one < len(names):
                yield f"{one}: positions go from 0 to {len(names) - 1}: {listed(names)}"
        else:
            yield from _unknown_columns([str(one)], names)


def _class_weight(_: str, value: Any, known: Known) -> Iterable[str]:
    if isinstance(value, dict):
        yield from _unknown_classes(value, known)
        yield from _no_numbers(value.values())
    if isinstance(value, list):
        first, last = (known.classes or ("no", "yes"))[0], (known.classes or ("no", "yes"))[-1]
        yield f"write a weight by class, such as {{{first!r}: 1, {last!r}: 5}}, or balanced"


def _unknown_classes(named: Iterable[str], known: Known) -> Iterable[str]:
    if known.classes is not None:
        for name in named:
            if known.class_of(name) not in known.classes:
                yield f"{name!r} is no class of the label; there are: {listed(known.classes)}"


def _no_numbers(values: Iterable[Any]) -> Iterable[str]:
    for one in values:
        if isinstance(one, bool) or not isinstance(one, int | float):
            yield f"{one!r} is no number"


def _priors(_: str, value: Any, known: Known) -> Iterable[str]:
    if value is None or isinstance(value, str):
        return
    if isinstance(value, dict):
        yield from _unknown_classes(value, known)
    given = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else None
    if known.classes is not None and known.all_there and (given is None or len(given) != len(known.classes)):
        yield f"it takes one number for each of the {len(known.classes)} classes: {listed(known.classes)}"
    yield from _no_numbers(given if given is not None else [value])


def _constant(text: str, value: Any, known: Known) -> Iterable[str]:
    if known.classifies:
        # Whatever it would mean elsewhere, it is a class's name: one may be called null, or 1e9.
        if value is not None or (known.classes is not None and unquoted(text) in known.classes):
            yield from _unknown_classes([unquoted(text)], known)
    elif value is not None:
        yield from _no_numbers([value])


def _one_number(_: str, value: Any, __: Known) -> Iterable[str]:
    if isinstance(value, list | dict):
        yield "it would go by columns of the encoded matrix, which nobody sees: write one number"


def _no_matrix(_: str, value: Any, __: Known) -> Iterable[str]:
    if isinstance(value, list | dict):
        yield "it would be of the encoded matrix, which nobody sees: write true or false"


def _no_lists(_: str, value: Any, __: Known) -> Iterable[str]:
    if isinstance(value, dict) and any(isinstance(one, list | dict) for one in value.values()):
        yield (
            "a list in it would go by columns of the encoded matrix, which nobody sees: multiply the column itself, in "
            "spec.features of the Dataset"
        )


def listed(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


_JUDGES: Mapping[str, Callable[[str, Any, Known], Iterable[str]]] = {
    "monotonic_cst": _monotonic,
    "interaction_cst": _interaction,
    "class_weight": _class_weight,
    "priors": _priors,
    "class_prior": _priors,
    "constant": _constant,
    "alpha": _one_number,
    "precompute": _no_matrix,
    "metric_params": _no_lists,
}
