"""docs/extending.md, tried: each diff is applied to a copy of the source, and each of its steps forgotten in turn."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text()
# What the tests and generators of a copy read.
NEEDED = (
    "operator",
    "tests",
    "docs",
    "hack",
    "crds",
    "charts",
    "bench",
    "examples",
    "pyproject.toml",
    "CONTRIBUTING.md",
)
MORE = ("pyproject.toml", "CONTRIBUTING.md", "README.md", "SECURITY.md", "CHANGELOG.md", "Makefile", "Dockerfile")
GENERATE = "make generate"
GENERATORS = (["hack/generate.py"], ["hack/bad_inputs.py"])
# What may be written by hand; the issue of a redesign is that it was more.
MOST_FILES = {"estimator": 2, "field with a rule": 4, "reason": 1, "type of drift check": 3}
# Where a reason is said is what one came to change.
_SAID = "operator/mlops/workloads/ingest/cleaning.py"
_SECTION = re.compile(r"^## A new ([^\n]+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_DIFF = re.compile(r"^```diff\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| (?:`([^`]+)`|nothing) \| `([^`]+)` \|(?: `([^`]+)`)? \|$", re.MULTILINE)

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Try:
    """A diff, and what is said if a step of it is forgotten."""

    diff: str
    forgotten: str
    command: str
    says: str


def _tries() -> dict[str, list[Try]]:
    found = {}
    for title, text in _SECTION.findall(PAGE):
        diff = _DIFF.search(text)
        assert diff is not None
        found[title] = [Try(diff[1], *row) for row in _ROW.findall(text)]
    return found


TRIES = _tries()


def _parameters() -> Iterator[Any]:
    for title, tries in TRIES.items():
        for each in tries:
            # mypy of the whole takes minutes: `make check` runs it, and a word that is no member is its own error.
            if each.command != "mypy":
                yield pytest.param(each, id=f"{title} without {each.forgotten or 'nothing'}")


def files_of(diff: str) -> list[str]:
    """Return the files that a diff changes or adds."""
    return re.findall(r"^\+\+\+ b/(.+)$", diff, re.MULTILINE)


@pytest.mark.parametrize("title", MOST_FILES)
def test_no_more_files_are_written_by_hand_and_each_is_forgotten_once(title: str) -> None:
    """Who adds something reads one list, and no step of it can be left out unnoticed."""
    tries = TRIES[title]
    files = [file for file in files_of(tries[0].diff) if file != _SAID]
    assert len(files) <= MOST_FILES[title], files
    assert {*files, GENERATE} <= {each.forgotten for each in tries}
    assert [each for each in tries if each.forgotten and not each.says] == []


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source as it is, to be copied again by links."""
    folder = tmp_path_factory.mktemp("source")
    for name in (*NEEDED, *MORE):
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "data", ".*_cache"))
        else:
            shutil.copy(source, target)
    # What the copies of it share is compiled once: a file that a diff changes has another time, and is compiled again.
    for generator in GENERATORS:
        python(folder, *generator, "--check")
    return folder


@pytest.mark.parametrize("each", list(_parameters()))
def test_a_forgotten_step_is_told_by_its_name(each: Try, copies: Path, tmp_path: Path) -> None:
    """Without a step the command fails, and says which; with all of them it does not."""
    copy = tmp_path / "source"
    shutil.copytree(copies, copy)
    subprocess.run(["git", "apply", "-C1", "-"], cwd=copy, input=each.diff, text=True, check=True)
    if each.forgotten and each.forgotten != GENERATE:
        (copy / each.forgotten).unlink()
        if (copies / each.forgotten).exists():
            shutil.copy(copies / each.forgotten, copy / each.forgotten)
    if each.forgotten != GENERATE:
        for generator in GENERATORS:
            python(copy, *generator)
    ended = python(copy, *command_of(each.command))
    said = ended.stdout + ended.stderr
    assert (ended.returncode == 0) == (not each.forgotten), said
    assert each.says in said
    if not each.forgotten:
        assert [python(copy, *generator, "--check").returncode for generator in GENERATORS] == [0, 0]


def command_of(text: str) -> list[str]:
    """Return the arguments of Python for a command as the page writes it."""
    first, *rest = shlex.split(text)
    return ["-m", "pytest", "-q", "-p", "no:cacheprovider", *rest] if first == "pytest" else [first, *rest]


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python on the copy's code; returns whatever comes of it."""
    path = os.pathsep.join((str(folder / "operator"), str(folder)))
    environ = {**os.environ, "PYTHONPATH": path, "COLUMNS": "300"}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
