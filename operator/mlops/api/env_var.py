"""An environment variable that a user gives a container."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from mlops.api.base import Model, Rule, text

VariableName = Annotated[str, text(r"^[A-Za-z_][A-Za-z0-9_]*$", "a variable's name has letters, digits and _", 128)]


class EnvVar(Model):
    """An environment variable of a container."""

    name: VariableName = Field(description="The variable's name.")
    value: Annotated[str, StringConstraints(max_length=4096)] = Field(default="", description="Its value.")
    rules: ClassVar = (
        Rule(
            "!self.name.startsWith('MLOPS_')",
            "names that begin with MLOPS_ are the operator's",
            lambda self: not self.name.startswith("MLOPS_"),
        ),
    )
