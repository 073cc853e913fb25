"""There is one way from an expression's text to something that is computed, and it leads through the check."""

from __future__ import annotations

import ast
from pathlib import Path

import polars as pl
import pytest

import mlops
from mlops.api.dataset import Feature
from mlops.workloads.floor.expressions import ExpressionError
from mlops.workloads.floor.expressions.frames import compute, evaluate

PACKAGE = Path(mlops.__file__ or "").parent
# What makes polars read SQL.
READERS = {"sql_expr", "sql", "SQLContext"}


def _uses(names: set[str]) -> list[tuple[str, str]]:
    """Return (file, enclosing function) of each use of one of these names in the package."""
    found: list[tuple[str, str]] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]:
            for node in ast.walk(function):
                used = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
                if used in names and not _is_the_source(node):
                    found.append((path.relative_to(PACKAGE).as_posix(), function.name))
        imported = [one for one in ast.walk(tree) if isinstance(one, ast.ImportFrom)]
        if names & {alias.name for one in imported for alias in one.names}:
            found.append((path.relative_to(PACKAGE).as_posix(), "import"))
    return found


def _is_the_source(node: ast.AST) -> bool:
    """Return whether this is `spec.source.sql`, the query that a database computes."""
    owner = node.value if isinstance(node, ast.Attribute) and node.attr == "sql" else None
    return ast.unparse(owner).rpartition(".")[2] == "source" if owner is not None else False


def test_polars_reads_no_sql() -> None:
    """Expressions have a parser whose grammar knows no other rows: polars' SQL would be a way around it."""
    assert [one for one in _uses(READERS) if one[0].startswith("workloads/") or one[1] == "import"] == []


def test_what_is_computed_was_checked() -> None:
    """A tree without types lets nothing be computed; one with types comes from `program`, which checks."""
    room = "workloads/floor/expressions/"
    assert {place for place, _ in _uses({"resolved"}) if place.startswith("workloads/")} == {
        f"{room}program.py",
        f"{room}resolve.py",
    }
    assert {name for place, name in _uses({"resolved"}) if place == f"{room}program.py"} == {"import", "_program"}
    assert {place for place, _ in _uses({"Program"}) if place.startswith("workloads/")} <= {
        *(f"{room}{name}.py" for name in ("__init__", "program", "frames")),
        "workloads/floor/model/features.py",
    }


# What opens Parquet in the program, and what it calls before: a file that was not judged is not read.
READERS_OF_PARQUET = {"read_parquet", "scan_parquet", "read_parquet_schema"}


def test_who_reads_parquet_judges_it_before() -> None:
    """In a pod; the command line reads its user's own files."""
    for path in sorted((PACKAGE / "workloads").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = [one.func for one in ast.walk(tree) if isinstance(one, ast.Call)]
        readers = [
            one
            for one in calls
            if isinstance(one, ast.Attribute) and one.attr in READERS_OF_PARQUET and _is_polars(one)
        ]
        checks = [one for one in calls if isinstance(one, ast.Name) and one.id == "check_parquet"]
        assert not readers or checks, f"{path} reads Parquet without check_parquet"


def _is_polars(attribute: ast.Attribute) -> bool:
    return isinstance(attribute.value, ast.Name) and attribute.value.id == "pl"


@pytest.mark.parametrize("expression", ["SUM(a)", "a - LAG(a) OVER ()", "(SELECT 1)", "RANDOM()"])
def test_an_expression_that_nobody_checked_before_is_not_computed(expression: str) -> None:
    """Whoever calls `compute` or `evaluate` need not remember."""
    frame = pl.DataFrame({"a": [1.0, 2.0]})
    with pytest.raises(ExpressionError):
        compute(frame, [Feature(name="b", expression=expression)])
    with pytest.raises(ExpressionError):
        evaluate(frame, expression)
