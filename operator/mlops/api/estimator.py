"""An estimator by its name and parameters: what a run trains, and what a version was trained as."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mlops.api.base import Model, Text, text

ParamName = Annotated[str, text(r"^[A-Za-z][A-Za-z0-9_]*$", "a parameter's name has letters, digits and _", 64)]
ClassName = Annotated[
    str, text(r"^[A-Z][A-Za-z0-9]*$", "the class name of an estimator, such as RandomForestClassifier", 64)
]


class Estimator(Model):
    """A scikit-learn estimator by its own name."""

    name: ClassName = Field(
        description="The class name of an allowed classifier or regressor, such as HistGradientBoostingClassifier."
    )
    params: Annotated[dict[ParamName, Text], Field(max_length=64)] = Field(
        default_factory=dict, description='Its parameters, values written as text: {learning_rate: "0.1"}.'
    )
    max_categories: Annotated[int, Field(ge=1, le=65_536)] | None = Field(
        default=None,
        description=(
            "At most so many values of a string are told apart, the most frequent ones. If left out: 65,536 for trees, "
            "which take a string as one column; 64 for the others, which take each value as one (at most 4,096)."
        ),
    )
