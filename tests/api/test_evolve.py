"""A misspelt field of a status is an error of mypy, and of the interpreter."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlops.api.dataset import DatasetStatus

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "operator/mlops/api/base.py", ROOT / "operator/mlops/api/environment.py"
SNIPPET = """\
from mlops.api.dataset import DatasetStatus
from mlops.cluster.settings import OperatorSettings

status = DatasetStatus()
status.evolve(attempts=1, digest=None).evolve(version=2)
status.evolve(atempts=1)
status.evolve(attempts="one")
OperatorSettings().evolve(pod_envs={})
reveal_type(status.evolve(rows=1))
"""


# `make check` runs mypy with the plugin on all of the product; what the plugin itself refuses is shown in `make test`.
@pytest.mark.thorough
def test_mypy_knows_the_fields_and_their_types(tmp_path: Path) -> None:
    """By this repository's own settings: the plugin is what `make check` runs with."""
    file = tmp_path / "snippet.py"
    file.write_text(SNIPPET)
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", "--follow-imports", "silent"]
    done = subprocess.run([*command, str(file)], cwd=ROOT, capture_output=True, text=True, check=False)
    # mypy's cache gives what it said of the same text in another folder, with its path.
    of_the_file = (line.partition("/snippet.py:")[2] for line in done.stdout.splitlines())
    said = [line for line in of_the_file if line and "defined in" not in line]
    assert [line.split(": ", 1)[0] for line in said] == ["6", "7", "8", "9"], done.stdout + done.stderr
    assert 'Unexpected keyword argument "atempts"' in said[0]
    assert 'incompatible type "str"; expected "int"' in said[1]
    assert 'Unexpected keyword argument "pod_envs"' in said[2]
    assert "DatasetStatus" in said[3]


def test_a_misspelt_field_is_refused_when_it_runs() -> None:
    wrong: dict[str, Any] = {"atempts": 1}
    with pytest.raises(TypeError, match="DatasetStatus has no field atempts"):
        DatasetStatus().evolve(**wrong)


def test_what_is_not_named_stays() -> None:
    status = DatasetStatus(version=3, attempts=2)
    assert status.evolve(attempts=0) == DatasetStatus(version=3)
    assert status.attempts == 2


def test_nobody_changes_a_model_in_another_way() -> None:
    """`model_copy(update={"text": ...})` takes any key."""
    files = {file: file.read_text() for file in sorted((ROOT / "operator").rglob("*.py")) if file not in MODELS}
    # A file without the word has no such attribute: that is told faster than by parsing it.
    trees = {file: ast.walk(ast.parse(text)) for file, text in files.items() if "model_copy" in text}
    called = {file: [node.attr for node in nodes if isinstance(node, ast.Attribute)] for file, nodes in trees.items()}
    assert len(files) > 200
    assert [str(file) for file, names in called.items() if "model_copy" in names] == []
