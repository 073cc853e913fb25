"""Mutated model files and Parquet files: refused by name or answered, and nothing that opens them dies or runs code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlops.api.tasks import NUMERIC_ENVIRONMENT

FORMATS = ("onnx", "treelite", "skops", "parquet")
ROOT = Path(__file__).parents[3]


def attacked(form: str, count: int, folder: Path) -> dict[str, int]:
    """Open so many mutated files, each in a fork of one process that nothing else runs in."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.workloads.attacks.attack", form, str(count), "1", str(folder)],
        cwd=ROOT,
        env={**os.environ, **NUMERIC_ENVIRONMENT},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    # Before it stands what a library printed.
    counts: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return counts


def _check(form: str, count: int, folder: Path) -> None:
    """The files that died or raised are kept in `folder`/kept, each with its traceback."""
    counts = attacked(form, count, folder)
    assert (counts["died"], counts["raised"], counts["payloads"]) == (0, 0, 0), counts
    assert counts["refused"] + counts["answered"] == count
    # A check that refuses everything would pass too: the numbers in a model may be others, and it still answers.
    assert counts["answered"] >= count // 50
    assert counts["refused"] >= count // 4


@pytest.mark.parametrize("form", FORMATS)
def test_no_mutated_file_ends_the_process_that_opens_it(form: str, tmp_path: Path) -> None:
    """Without the child around it, as the model server opens what was verified: the checks alone must hold."""
    _check(form, 120, tmp_path / form)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.timeout(1800)
def test_of_thousands_of_mutated_files_none_ends_the_process_that_opens_it(form: str, tmp_path: Path) -> None:
    """The same with 5,000 files of each format."""
    _check(form, 5000, tmp_path / form)
