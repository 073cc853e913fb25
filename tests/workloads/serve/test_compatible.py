"""Whether a version can answer the requests of another one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlops.workloads.serve.compatible import incompatibility
from mlops.workloads.serve.inference import Interface
from mlops.workloads.serve.model_description import ModelDescription
from mlops.workloads.serve.tensors import Column

COLUMNS = (Column("temperature", "float64", True), Column("count", "int64", False), Column("colour", "string", True))
OUTPUTS = (("prediction", "BYTES", 1), ("probabilities", "FP64", 2))


def described(
    version: int = 3,
    columns: tuple[Column, ...] = COLUMNS,
    outputs: tuple[tuple[str, str, int], ...] = OUTPUTS,
    classes: tuple[bool | int | str, ...] = ("dry", "rain"),
    needed: frozenset[str] = frozenset(),
) -> ModelDescription:
    """A version; `needed` are nullable inputs that cleaning asks for all the same."""
    return ModelDescription(
        interface=Interface("weather", version, "mlops_onnx", columns, outputs, classes),
        known={},
        conditions=(),
        optional=frozenset(one.name for one in columns if one.nullable) - needed,
        max_rows=100,
    )


def changed(name: str, **changes: object) -> tuple[Column, ...]:
    """The columns, one of them otherwise."""
    return tuple(
        Column(**{"name": one.name, "type": one.type, "nullable": one.nullable, **changes})  # type: ignore[arg-type]
        if one.name == name
        else one
        for one in COLUMNS
    )


@pytest.mark.parametrize(
    ("stable", "candidate"),
    [
        pytest.param(described(), described(4), id="the same"),
        pytest.param(described(), described(4, COLUMNS[:2]), id="fewer inputs"),
        pytest.param(described(), described(4, COLUMNS[::-1]), id="in another order"),
        pytest.param(described(columns=changed("colour", nullable=False)), described(4), id="one more may be missing"),
        pytest.param(
            described(needed=frozenset({"colour"})), described(4, needed=frozenset({"colour"})), id="both need a value"
        ),
        pytest.param(
            described(needed=frozenset({"colour"})),
            described(4, changed("colour", nullable=False)),
            id="not null after all",
        ),
        pytest.param(
            described(outputs=(("prediction", "FP64", 1),), classes=()),
            described(4, outputs=(("prediction", "FP64", 1),), classes=()),
            id="regressors",
        ),
    ],
)
def test_a_candidate_that_takes_every_request_is_taken(stable: ModelDescription, candidate: ModelDescription) -> None:
    """Fewer inputs, or more that may be missing, refuse nobody."""
    assert incompatibility(stable, candidate) is None


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        pytest.param(
            described(4, (*COLUMNS, Column("wind", "float64", True))),
            "input 'wind' of version 4 is none of version 3",
            id="one input more",
        ),
        pytest.param(
            described(4, changed("count", type="float64")),
            "input 'count' is float64 in version 4 and int64 in version 3",
            id="another type",
        ),
        pytest.param(
            described(4, changed("colour", nullable=False)),
            "input 'colour' may be missing in requests of version 3, and not in those of version 4",
            id="not nullable",
        ),
        pytest.param(
            described(4, needed=frozenset({"temperature"})),
            "input 'temperature' may be missing in requests of version 3",
            id="cleaning leaves such rows out",
        ),
        pytest.param(
            described(4, classes=("dry", "snow")),
            "output 'prediction' has the classes ['dry', 'snow'] in version 4 and ['dry', 'rain'] in version 3",
            id="other classes",
        ),
        pytest.param(
            described(4, outputs=OUTPUTS[:1]),
            "version 4 answers 'prediction' (BYTES), version 3 'prediction' (BYTES), 'probabilities' (FP64)",
            id="no probabilities",
        ),
    ],
)
def test_a_candidate_that_would_refuse_a_request_is_refused(candidate: ModelDescription, message: str) -> None:
    """With the field, both versions and the way out."""
    found = incompatibility(described(), candidate)
    assert found is not None
    assert found.startswith(message)
    assert found.endswith("serve it there without canary and shadow")


def test_a_regressor_is_no_candidate_beside_a_classifier() -> None:
    """Its answers are numbers."""
    regressor = described(4, outputs=(("prediction", "FP64", 1),), classes=())
    assert "has the classes []" in str(incompatibility(described(), regressor))
    numbers = replace(regressor, interface=replace(regressor.interface, version=3))
    assert "has the classes ['dry', 'rain']" in str(incompatibility(numbers, described(4)))
