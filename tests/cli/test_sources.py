"""What lies in the local buckets: a change between two runs makes the second one sync again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops.cli.sources import Sources, uris_of

KEY = ("Dataset", "default", "sales")
URIS = ["s3://raw/sales/"]


def asked(state: Path) -> bool:
    """Whether one more run finds something else."""
    sources = Sources(state / "sources.json", state / "buckets")
    found = sources.changed(KEY, URIS)
    sources.save()
    return found


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "buckets" / "raw" / "sales" / "may"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("v\n1\n")
    assert asked(tmp_path), "nobody knows what was there before"
    assert not asked(tmp_path)
    return tmp_path


def _rewrite(folder: Path) -> None:
    (folder / "may" / "a.csv").write_text("v\n2\n")
    os.utime(folder / "may" / "a.csv", ns=(1, 1))


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file more": lambda folder: (folder / "b.csv").write_text("v\n2\n"),
    "an old file more": lambda folder: os.utime((folder / "b.csv", (folder / "b.csv").write_text("v\n"))[0], ns=(1, 1)),
    "a file less": lambda folder: (folder / "may" / "a.csv").unlink(),
    "another name": lambda folder: (folder / "may" / "a.csv").rename(folder / "may" / "c.csv"),
    "another content": _rewrite,
}


@pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in CHANGES.items()])
def test_what_was_put_beside_the_others_is_news(state: Path, change: Callable[[Path], object]) -> None:
    change(state / "buckets" / "raw" / "sales")
    assert asked(state)
    assert not asked(state), "once"


def test_what_lies_elsewhere_is_no_news(state: Path) -> None:
    (state / "buckets" / "raw" / "salesmen.csv").write_text("v\n2\n")
    assert not asked(state)


def test_a_record_that_cannot_be_read_means_that_nobody_knows(state: Path) -> None:
    (state / "sources.json").write_text("{")
    assert asked(state)


def test_every_place_that_a_dataset_reads_is_watched() -> None:
    assert uris_of({"s3": {"uri": "s3://raw/a"}}) == ["s3://raw/a"]
    assert uris_of({"captured": {"history": {"s3": {"uri": "s3://raw/b"}}}}) == ["s3://raw/b"]
    assert uris_of({"http": {"url": "https://example.com/a.csv"}}) == []
