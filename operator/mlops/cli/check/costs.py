"""What answers cost, as options say it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import ValidationError

from mlops.api.costs import MAX_COSTS, Cost, has_no_pair_twice, unknown_class
from mlops.api.metrics import Task
from mlops.cli.check.options import CheckOptions
from mlops.cli.errors import UserError

_FORM = "the form is ACTUAL:PREDICTED=COST, or ACTUAL:PREDICTED=COST*COLUMN"
_PROBLEMS = {
    "cost": f"the cost is no number, such as 500 or -2.5: {_FORM}",
    "column": "the column's name may have letters, digits, _, . and -, first a letter or _: rename it",
}
_COST = re.compile(r"(?P<pair>.+)=(?P<cost>[^=*]+)(?:[*](?P<column>[^=*]+))?")


def costs_of(options: CheckOptions, task: Task, classes: Sequence[str]) -> tuple[Cost, ...]:
    """Return what answers cost. Raises UserError for what is no cost, or not of these classes."""
    if options.metric == "cost" and not options.costs:
        raise UserError("--metric cost: nobody said what answers cost: add --cost ACTUAL:PREDICTED=COST")
    if not options.costs:
        return ()
    if options.metric != "cost":
        raise UserError("--cost is for --metric cost: add it, or leave --cost out")
    if task == "regression":
        raise UserError(
            "--cost: costs are those of classes: leave it out, and use --metric mae, or --task classification"
        )
    if len(options.costs) > MAX_COSTS:
        raise UserError(
            f"--cost: there are {len(options.costs)}, at most {MAX_COSTS}: leave out pairs that cost nothing"
        )
    found = tuple(_cost(text, classes) for text in options.costs)
    if not has_no_pair_twice(found):
        raise UserError("--cost: a pair of classes is named twice: leave one of the two out")
    return found


def _cost(text: str, classes: Sequence[str]) -> Cost:
    said = _COST.fullmatch(text)
    if said is None or ":" not in said["pair"]:
        raise UserError(f"--cost {text!r}: {_FORM}")
    actual, predicted = _pair(said["pair"], classes)
    try:
        cost = Cost(actual=actual, predicted=predicted, cost=said["cost"], column=said["column"])
    except ValidationError as error:
        first = error.errors()[0]
        problem = _PROBLEMS.get(str(first["loc"][0]) if first["loc"] else "", first["msg"])
        raise UserError(f"--cost {text!r}: {problem}") from error
    if wrong := unknown_class((cost,), tuple(classes)):
        raise UserError(f"--cost {text!r}: {wrong[1]}")
    return cost


def _pair(text: str, classes: Sequence[str]) -> tuple[str, str]:
    """Return both classes, of which either may have a colon in its name."""
    parts = text.split(":")
    pairs = [(":".join(parts[:at]), ":".join(parts[at:])) for at in range(1, len(parts))]
    return next((pair for pair in pairs if set(pair) <= set(classes)), pairs[0])
