"""Parts have fixed borders; a run that was killed goes on with them, and never beside those of anything else."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlops.workloads.score import run as program
from mlops.workloads.score import sources, target
from tests.workloads.score.jobs import SPEC, ScoringDesk, as_csv, asked
from tests.workloads.serve.models import write_model
from tests.workloads.serve.servers import artifact_of


def bytes_of(folder: Path) -> dict[str, bytes]:
    """What lies in a folder, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_parts_begin_with_each_file_and_after_so_many_rows(desk: ScoringDesk) -> None:
    """And each row says where it was."""
    frame = asked(250)
    desk.deliver("things/a.csv", as_csv(frame[:210]))
    desk.deliver("things/b.csv", as_csv(frame[210:]))
    report = desk.score(part_rows=100)
    assert (report.rows, report.answered, report.parts, report.kept_parts) == (250, 250, 4, 0)
    assert sorted(path.name for path in desk.out.glob("part-*")) == [
        "part-00000-00000.parquet",
        "part-00000-00001.parquet",
        "part-00000-00002.parquet",
        "part-00001-00000.parquet",
    ]
    got = desk.answers()
    assert got["out.row"].to_list() == [*range(1, 211), *range(1, 41)]
    assert got["out.file"].unique(maintain_order=True).to_list() == ["s3://raw/things/a.csv", "s3://raw/things/b.csv"]
    assert got["id"].to_list() == frame["id"].to_list()
    assert got["at"].to_list() == frame["at"].to_list()
    manifest = desk.manifest()
    assert [one["rows"] for one in manifest["parts"]] == [100, 100, 10, 40]
    assert manifest["model"]["artifact"] == desk.artifact
    assert [one["name"] for one in manifest["columns"]] == got.columns


@pytest.mark.parametrize("rows", [1, 99, 100, 101, 200])
def test_no_row_is_lost_at_a_border(rows: int) -> None:
    """Whatever pieces a reader gives."""
    frame = pl.DataFrame({"n": range(rows)})
    for size in (1, 7, 100, 1000):
        found = list(target.cut(iter(frame.iter_slices(size)), 100))
        assert pl.concat([one for one, _, _ in found if one is not None]).equals(frame)
        assert [before for _, before, _ in found] == list(range(0, rows, 100))
        assert [last for _, _, last in found] == [False] * (len(found) - 1) + [True]


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_and_ends_as_one_that_was_not(desk: ScoringDesk, tmp_path: Path) -> None:
    """Killed between parts, and in the middle of them: what was whole is not written again."""
    frame = asked(60_000)
    desk.deliver("things/a.csv", as_csv(frame[:40_000]))
    desk.deliver("things/b.csv", as_csv(frame[40_000:]))
    desk.score(part_rows=2000)
    whole = bytes_of(desk.out)
    desk.out.rename(tmp_path / "whole")
    task, kept = desk.task(part_rows=2000), 0
    for wanted in (2, 9, 23):
        process = desk.started(task)
        while len(list(desk.out.glob("_part-*"))) < wanted:
            assert process.poll() is None, (tmp_path / "score.log").read_text()
            time.sleep(0.005)
        process.kill()
        process.wait()
        kept = len(list(desk.out.glob("_part-*")))
    assert kept < 30
    assert not (desk.out / "_manifest.json").exists()
    written = {path.name: path.stat().st_mtime_ns for path in desk.out.glob("_part-*")}
    process = desk.started(task)
    assert process.wait(timeout=120) == 0, (tmp_path / "score.log").read_text()
    report = json.loads((tmp_path / "termination-log").read_text())
    assert (report["keptParts"], report["parts"], report["answered"]) == (kept, 30, 60_000)
    assert bytes_of(desk.out) == whole
    assert {name: (desk.out / name).stat().st_mtime_ns for name in written} == written


def test_what_is_there_whole_is_not_asked_again_and_what_is_not_is(
    desk: ScoringDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file all of whose parts are whole is not even fetched; a part that is cut short is written again."""
    frame = asked(300)
    desk.deliver("things/a.csv", as_csv(frame[:200]))
    desk.deliver("things/b.csv", as_csv(frame[200:]))
    desk.score(part_rows=100)
    whole = bytes_of(desk.out)
    opened: list[str] = []
    before = sources.DeliveredRows.open

    def noted(self: Any, file: Any) -> Any:
        opened.append(file.key)
        return before(self, file)

    monkeypatch.setattr(sources.DeliveredRows, "open", noted)
    assert desk.score(part_rows=100).kept_parts == 3
    assert opened == []
    part = desk.out / "part-00000-00001.parquet"
    part.write_bytes(part.read_bytes()[:-10])
    report = desk.score(part_rows=100)
    assert (report.kept_parts, report.answered) == (2, 300)
    assert opened == ["things/a.csv"]
    assert bytes_of(desk.out) == whole


def _another_model(desk: ScoringDesk) -> dict[str, Any]:
    return {"artifact": artifact_of(desk.root / "store", write_model(desk.root / "other", None))}


def _changed_rows(desk: ScoringDesk) -> dict[str, Any]:
    desk.deliver("things/a.csv", as_csv(asked(199)))
    return {}


def _another_file(desk: ScoringDesk) -> dict[str, Any]:
    desk.deliver("things/c.csv", as_csv(asked(1)))
    return {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(_another_model, "model: artifact was sha256:", id="model"),
        pytest.param(_changed_rows, "input: files: s3://raw/things/a.csv was ", id="rows"),
        pytest.param(_another_file, "input: files: s3://raw/things/c.csv was none, now it is ", id="file"),
        pytest.param(lambda _: {"columns": "all"}, "beside was keys, now it is all", id="columns"),
        pytest.param(lambda _: {"part_rows": 7}, "partRows was 100, now it is 7", id="borders"),
        pytest.param(lambda _: {"on_invalid": "quarantine"}, "onInvalid was refuse, now it is quarantine", id="rule"),
        pytest.param(lambda _: {"spec": SPEC.evolve(csv=None)}, "input: reading was sha256:", id="dialect"),
    ],
)
def test_answers_are_not_mixed_with_others(
    desk: ScoringDesk, change: Callable[[ScoringDesk], dict[str, Any]], said: str
) -> None:
    """The message names what differs; nothing is written."""
    desk.deliver("things/a.csv", as_csv(asked(200)))
    desk.score(part_rows=100)
    before = bytes_of(desk.out)
    message = desk.refused(**{"part_rows": 100} | change(desk))
    assert said in message
    assert message.startswith("s3://out/things/: holds answers of another run")
    assert bytes_of(desk.out) == before


def test_bytes_that_changed_under_the_same_name_size_and_time_are_found(desk: ScoringDesk) -> None:
    """As far as the file is read again: its digest stands in each part's note."""
    text = as_csv(asked(200))
    desk.deliver("things/a.csv", text)
    path = desk.root / "buckets/raw/things/a.csv"
    written = path.stat()
    desk.score(part_rows=100)
    (desk.out / "_part-00000-00001.json").unlink()
    desk.deliver("things/a.csv", text.replace("r7;", "q7;"))
    os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns))
    assert "holds other bytes than when part-00000-00000.parquet was written" in desk.refused(part_rows=100)


def test_a_place_that_holds_something_else_is_left_alone(desk: ScoringDesk) -> None:
    desk.deliver("things/a.csv", as_csv(asked(3)))
    desk.deliver("things/mine.txt", "mine", bucket="out")
    assert "holds 'mine.txt' and no _scoring.json" in desk.refused()
    assert list(bytes_of(desk.out)) == ["mine.txt"]


@pytest.mark.parametrize("output", ["s3://raw/things/", "s3://raw/", "s3://raw/things/out/"])
def test_answers_do_not_lie_among_the_rows(desk: ScoringDesk, output: str) -> None:
    """The next run would take them for rows."""
    desk.deliver("things/a.csv", as_csv(asked(3)))
    assert "answers go to a place of their own" in desk.refused(output=output)


def test_rows_are_streamed(desk: ScoringDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 300,000 rows no more than a part and a block of the reader are there at a time, and a piece is asked."""
    desk.deliver("things/a.csv", as_csv(asked(300_000)))
    read = written = 0
    most = pieces = 0
    delivered = sources.delivered_rows

    def watched(*args: Any) -> Iterator[pl.DataFrame]:
        nonlocal read, most
        for frame in delivered(*args):
            read += frame.height
            most = max(most, read - written)
            yield frame

    answer = program.Scorer.answer

    def asked_of(self: Any, frame: pl.DataFrame) -> Any:
        nonlocal pieces
        pieces = max(pieces, frame.height)
        return answer(self, frame)

    put = target.ScoreTarget.put

    def stored(self: Any, name: str, frame: pl.DataFrame) -> str:
        nonlocal written
        written += frame.height
        return put(self, name, frame)

    monkeypatch.setattr(sources, "delivered_rows", watched)
    monkeypatch.setattr(program.Scorer, "answer", asked_of)
    monkeypatch.setattr(target.ScoreTarget, "put", stored)
    assert desk.score(part_rows=20_000).answered == written == read == 300_000
    # A block of CSV is some megabytes: about 80,000 of these rows.
    assert most <= 20_000 + 150_000
    assert pieces <= 4096
