"""What answers cost: a matrix of pairs of classes, from which the metric `cost` is computed wherever it is measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from mlops.api.base import Decimal, FieldName, Model, Rule, Text

# More would be no matrix that somebody wrote.
MAX_COSTS = 64
# So many classes at most are named in a message.
_NAMED = 20
# Far from what float64 holds, so that no sum of costs leaves it.
LARGEST_COST = 1e12


class Cost(Model):
    """What an answer costs a row of one class; negative: what it gains."""

    actual: Text = Field(description="The class that is true.")
    predicted: Text = Field(description="The class that the model answers; the same as actual for a right answer.")
    cost: Decimal = Field(description="What that costs, in a unit of yours; negative for a gain.")
    column: FieldName | None = Field(
        default=None,
        description="An input of the model, a number: the cost of a row is then cost times its value, which is not "
        "negative.",
    )
    rules: ClassVar = (
        Rule(
            "double(self.cost) >= -1e12 && double(self.cost) <= 1e12",
            "cost must be from -1e12 to 1e12: count in a larger unit",
            lambda self: abs(float(self.cost)) <= LARGEST_COST,
        ),
    )


Costs = Annotated[tuple[Cost, ...], Field(min_length=1, max_length=MAX_COSTS)]


def has_no_pair_twice(costs: Iterable[Cost]) -> bool:
    """Return whether each pair of classes has one cost."""
    pairs = [(one.actual, one.predicted) for one in costs]
    return len(set(pairs)) == len(pairs)


def wrong_column(name: str, kind: str | None, *, carried: bool, personal: bool, may_be_missing: bool) -> str | None:
    """Return what is wrong with a field of this type (None: there is no such field) as a column of amounts, which have
    to be known of every row that is answered; None if nothing is."""
    if kind is None:
        return f"{name!r} is no field of the Dataset: name one of spec.fields, a number"
    if kind not in ("float64", "int64"):
        return f"{name!r} is a {kind}: name a number (float64 or int64)"
    if not carried:
        return f"no request carries {name!r}, so nobody knows what live answers cost: give it the role feature or input"
    if personal:
        return (
            f"{name!r} is in governance.pii, and no values of it are kept to compare with: name another field, or take "
            "it out of governance.pii"
        )
    if may_be_missing:
        return f"{name!r} may be missing: leave nullable out of the Dataset's field, or fill it (spec.clean[].fillNull)"
    return None


def unknown_class(costs: Iterable[Cost], classes: Sequence[str]) -> tuple[str, str] | None:
    """Return the place of the first class that is none of `classes`, and what is wrong with it; None if all are."""
    for index, one in enumerate(costs):
        for name, value in (("actual", one.actual), ("predicted", one.predicted)):
            if value not in classes:
                problem = f"{value!r} is none of the classes: name one of {', '.join(classes[:_NAMED])}"
                return f"spec.costs[{index}].{name}", problem
    return None


def columns_of(costs: Iterable[Cost]) -> tuple[tuple[str, str], ...]:
    """Return the columns by which costs are multiplied, each once, with the place that names it first."""
    found: dict[str, str] = {}
    for index, one in enumerate(costs):
        if one.column is not None:
            found.setdefault(one.column, f"spec.costs[{index}].column")
    return tuple(found.items())
