"""What is known of an estimator without scikit-learn: its task, its parameters and which values these take.

The table is generated from scikit-learn's own constraints (`make generate`). So a misspelt estimator is refused where
the manifest is read and by the planner, before any pod starts, in the words that the training pod would use.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from mlops.api.estimator_table import ESTIMATORS, RESERVED
from mlops.api.metrics import Task
from mlops.api.parameter_text import parse

NAME_PATH = "spec.trainer.estimator.name"
PARAMS_PATH = "spec.trainer.estimator.params"
CATEGORIES_PATH = "spec.trainer.estimator.maxCategories"
# Of a string, the columns that its categories may take: a table of one row per slot is made of them.
MOST_SLOTS = 4096
# Their fitted state holds rows of the matrix, number by number.
KEEP_ROWS = frozenset({"KNeighborsClassifier", "KNeighborsRegressor", "NuSVC", "NuSVR", "SVC", "SVR"})
# The bounds of a range, as scikit-learn writes them.
_RANGE = re.compile(r"(int|float|fraction) ([\[(])([^,]+), ([^,]+)([\])])")
_OPTION = re.compile(r"'([^']*)'")
_TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "list": (list,),
    "dict": (dict,),
    "array": (list, dict),
}
_WORDS = {"None": "None", "array": "an array-like", "bool": "an instance of 'bool' or an instance of 'numpy.bool'"}


def closest(name: str, names: Iterable[str], cutoff: float = 0.5) -> str:
    """Return the hint "did you mean ...? " if one of the names is alike, or nothing."""
    by_case = {each.lower(): each for each in names}
    found = difflib.get_close_matches(name.lower(), by_case, n=1, cutoff=cutoff)
    return f"did you mean {by_case[found[0]]}? " if found else ""


def is_known(name: str) -> bool:
    """Return whether an estimator of this name may be trained."""
    return name in ESTIMATORS


def task_of(name: str) -> Task | None:
    """Return the task of an estimator; None of an unknown one."""
    return ESTIMATORS[name].task if name in ESTIMATORS else None


def gives_probabilities(name: str) -> bool:
    """Return whether an estimator can answer with probabilities; some do with certain parameters only."""
    return name in ESTIMATORS and ESTIMATORS[name].probabilities


def too_many_categories(name: str, wanted: int | None) -> str | None:
    """Return what is wrong with an estimator's maxCategories; None if it can tell so many apart."""
    if wanted is None or wanted <= MOST_SLOTS or name not in ESTIMATORS or not ESTIMATORS[name].one_hot:
        return None
    return (
        f"{CATEGORIES_PATH}: {wanted}: this estimator takes each category as a column of its own, at most "
        f"{MOST_SLOTS}: write at most so many, or choose trees, such as a RandomForest"
    )


def unknown_estimator(name: str, path: str = NAME_PATH) -> str | None:
    """Return what is wrong with an estimator's name, the closest one and the whole list; None if it may be trained."""
    if name in ESTIMATORS:
        return None
    hint = closest(name, ESTIMATORS)
    return f"{path}: {name!r} is not allowed; {hint}Allowed are: {', '.join(sorted(ESTIMATORS))}"


def wrong_name(estimator: str, parameter: str, text: str, path: str) -> str | None:
    """Return what is wrong with a parameter's name; None if the estimator has it and it may be set."""
    if parameter in RESERVED:
        return f"{path}: cannot be set: {RESERVED[parameter]}"
    known = ESTIMATORS[estimator].parameters
    if parameter in known:
        return None
    hint = closest(parameter, known)
    return (
        f"{path}: {estimator} has no parameter {parameter!r} (value {text!r}); {hint}it has: {', '.join(sorted(known))}"
    )


def wrong_value(estimator: str, parameter: str, text: str, path: str) -> str | None:
    """Return what scikit-learn would say of a parameter's value; None if it takes the value, or is not asked."""
    if parameter == "constant" and ESTIMATORS[estimator].task == "classification":
        return None  # the name of a class, as it is written
    constraints = ESTIMATORS[estimator].parameters[parameter]
    value = parse(text)
    if not constraints or any(_holds(one.removeprefix("~"), value) for one in constraints):
        return None
    shown = [_words(one) for one in constraints if not one.startswith("~")]
    allowed = shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"
    said = f"The {parameter!r} parameter of {estimator} must be {allowed}. Got {value!r} instead."
    return f"{path}: {text!r}: {said}"


def _holds(constraint: str, value: Any) -> bool:
    if constraint == "None":
        return value is None
    if constraint in _TYPES:
        return isinstance(value, _TYPES[constraint])
    kind, _, rest = constraint.partition(" ")
    if rest.startswith("{"):
        return isinstance(value, str if kind == "str" else float) and str(value) in _options(constraint)
    return _in_range(constraint, value)


def _in_range(constraint: str, value: Any) -> bool:
    found = _RANGE.fullmatch(constraint)
    if found is None or not isinstance(value, int | float) or value != value:
        return False  # an object, which no text can mean
    kind, left, low, high, right = found.groups()
    whole = isinstance(value, int)
    if (kind == "int" and not whole) or (kind == "fraction" and whole):
        return False
    above = value >= float(low) if left == "[" else value > float(low)
    below = value <= float(high) if right == "]" else value < float(high)
    return above and below


@lru_cache(maxsize=256)
def _options(constraint: str) -> frozenset[str]:
    listed = constraint.partition("{")[2].rstrip("}")
    return frozenset(_OPTION.findall(listed) or listed.split(", "))


def _words(constraint: str) -> str:
    if constraint in _WORDS:
        return _WORDS[constraint]
    if constraint in _TYPES:
        return f"an instance of {constraint!r}"
    kind, _, rest = constraint.partition(" ")
    if rest.startswith("{"):
        return f"a {kind} among {rest}"
    if _RANGE.fullmatch(constraint):
        return f"{'an int' if kind == 'int' else 'a float'} in the range {rest}"
    return constraint
