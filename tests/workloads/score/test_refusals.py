"""A row that a server would refuse is refused with its address, or put aside with why: one rule, said in the task."""

from __future__ import annotations

import io
import json
from typing import Any

import polars as pl
import pytest

from mlops.api import tasks
from mlops.api.dataset import DatasetSpec
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.score.run import score
from tests.servers.s3 import S3Server
from tests.workloads.score.jobs import SPEC, ScoringDesk, as_csv, asked, bits


def with_count(frame: pl.DataFrame, row: int, text: str) -> str:
    """The rows as they are delivered, with another text for the count of one of them, counted from 1."""
    lines = as_csv(frame).splitlines()
    at = lines[0].split(";").index("count")
    parts = lines[row].split(";")
    lines[row] = ";".join([*parts[:at], text, *parts[at + 1 :]])
    return "\n".join([*lines, ""])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "row 5: count = nothing: input 'count' is missing", id="missing"),
        pytest.param("many", 'row 5, column "count" (line 6): "many" is not an int64', id="another type"),
    ],
)
def test_a_row_is_refused_with_file_row_column_and_value(desk: ScoringDesk, text: str, said: str) -> None:
    """The parts before it stay, and there is no manifest."""
    desk.deliver("things/a.csv", as_csv(asked(10)))
    desk.deliver("things/b.csv", with_count(asked(10), 5, text))
    message = desk.refused()
    assert message.startswith("s3://raw/things/b.csv: ")
    assert said in message
    assert [path.name for path in desk.out.glob("part-*")] == ["part-00000-00000.parquet"]
    assert not (desk.out / "_manifest.json").exists()


def test_an_infinite_number_is_refused_with_its_value(desk: ScoringDesk) -> None:
    """In whatever format it comes."""
    sink = io.BytesIO()
    asked(3).with_columns(temperature=pl.Series([1.0, float("-inf"), 2.0])).write_parquet(sink)
    desk.deliver("things/a.parquet", sink.getvalue())
    assert (
        "/a.parquet: row 2: temperature = \"-inf\": input 'temperature' is infinite; a server refuses" in desk.refused()
    )


@pytest.mark.parametrize("on_invalid", ["refuse", "quarantine"])
def test_no_message_and_no_reason_shows_a_personal_value(desk: ScoringDesk, on_invalid: str) -> None:
    """The quarantine holds the row as it came, for whoever may read the rows."""
    personal = {"governance": {"pii": ["temperature"]}}
    spec = DatasetSpec.model_validate(SPEC.dump() | personal)
    frame = asked(3).with_columns(temperature=pl.Series([1.0, 4711e305, 2.0]) * 100)
    desk.deliver("things/a.csv", as_csv(frame))
    if on_invalid == "refuse":
        message = desk.refused(spec=spec)
        assert "temperature = a value that is personal: " in message
        assert "inf" not in message.replace("infinite", "")
        return
    desk.score(spec=spec, on_invalid="quarantine")
    refused = pl.read_parquet(desk.out / "_refused-00000-00000.parquet")
    assert refused["out.reason"].to_list() == ["input 'temperature' is infinite"]
    assert refused["temperature"].is_infinite().all()


def test_rows_are_put_aside_with_why_and_the_others_keep_their_numbers(desk: ScoringDesk) -> None:
    """Those with a gap where none may be, and those that cannot be read: each in a table of its own, all counted."""
    frame = asked(60)
    lines = as_csv(frame).splitlines()
    for row, text in ((3, "many"), (4, ""), (5, "few"), (40, ""), (60, "none")):
        lines[row] = with_count(frame, row, text).splitlines()[row]
    desk.deliver("things/a.csv", "\n".join([*lines, ""]))
    report = desk.score(on_invalid="quarantine", part_rows=20)
    assert (report.rows, report.answered, report.quarantined) == (60, 55, 5)
    gone = {3, 4, 5, 40, 60}
    assert desk.answers()["out.row"].to_list() == [row for row in range(1, 61) if row not in gone]
    assert desk.answers()["id"].to_list() == [f"r{row - 1}" for row in range(1, 61) if row not in gone]
    refused = pl.concat([pl.read_parquet(path) for path in sorted(desk.out.glob("_refused-*"))])
    assert refused["out.row"].to_list() == [4, 40]
    assert refused["id"].to_list() == ["r3", "r39"]
    assert set(refused["out.reason"]) == {"input 'count' is missing, but the field is not nullable"}
    unread = pl.read_parquet(desk.out / "_unread-00000.parquet")
    assert unread["row"].to_list() == [3, 5, 60]
    assert unread["line"].to_list() == [4, 6, 61]
    assert unread["text"].to_list() == [lines[3], lines[5], lines[60]]
    assert desk.manifest()["reasons"] == {
        "input 'count' is missing, but the field is not nullable": 2,
        "values that are not of their type": 3,
    }
    assert desk.manifest()["quarantined"] == 5
    again = desk.score(on_invalid="quarantine", part_rows=20)
    assert again.model_copy(update={"kept_parts": 0}) == report
    assert again.kept_parts == 3


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        pytest.param({}, 2, "Rejected", id="refused"),
        pytest.param({"on_invalid": "quarantine"}, tasks.EXIT_PUT_ASIDE, "score", id="put aside"),
        pytest.param({"input": {"uri": "s3://raw/good.csv"}}, 0, "score", id="none"),
    ],
)
@pytest.mark.slow
def test_the_exit_code_tells(desk: ScoringDesk, changes: dict[str, Any], code: int, said: str) -> None:
    """And the report says how many."""
    desk.deliver("things/a.csv", with_count(asked(10), 5, ""))
    desk.deliver("good.csv", as_csv(asked(10)))
    assert desk.started(desk.task(**changes)).wait(timeout=60) == code
    report = json.loads((desk.root / "termination-log").read_text())
    assert said in (report.get("reason"), report["report"])


def test_what_stands_beside_an_answer_is_chosen(desk: ScoringDesk) -> None:
    """Keys, or the inputs too, or nothing; a row's place, its answer and the model's digest always."""
    frame = asked(20)
    desk.deliver("things/a.csv", as_csv(frame))
    ours = {"out.file", "out.row", "out.prediction", "out.p.dry", "out.p.rain", "out.model"}
    inputs = ["temperature", "count", "windy", "colour"]
    for columns, beside in (("none", []), ("keys", ["id", "at"]), ("all", ["id", "at", *inputs])):
        desk.score(columns=columns, output=f"s3://out/{columns}/")
        got = pl.read_parquet(desk.root / f"buckets/out/{columns}/part-00000-00000.parquet")
        assert set(got.columns) == ours | set(beside)
        assert got.select(beside).equals(frame.select(beside))
        assert bits(got["out.p.dry"] + got["out.p.rain"]) == bits([1.0] * 20)


def test_a_column_that_is_not_there_is_named_with_those_that_are(desk: ScoringDesk) -> None:
    """A key is not needed, if nobody asks for it."""
    frame = asked(5).rename({"count": "counts"})
    desk.deliver("things/a.csv", as_csv(frame))
    assert 'a.csv: no column "count" (did you mean "counts"?); it has "id", ' in desk.refused()
    desk.clear()
    desk.deliver("things/a.csv", as_csv(asked(5)).replace("id;", "number;", 1))
    assert 'no column "id"; it has "number"' in desk.refused()
    assert desk.score(columns="none", output="s3://out/other/").answered == 5


def test_what_cannot_be_done_is_said_before_anything_is_written(desk: ScoringDesk) -> None:
    desk.deliver("things/a.csv", as_csv(asked(5)))
    assert "s3://raw/thing/: there is no object; did you mean" in desk.refused(input={"uri": "s3://raw/thing/"})
    desk.deliver("empty/a.dat", "")
    assert "say --format" in desk.refused(input={"uri": "s3://raw/empty/"}, spec=None, output="s3://out/empty/")
    store = f"file://{desk.root}/store/"
    assert "is where the artifact store lies" in desk.refused(output=store)
    assert "is where the artifact store lies" in desk.refused(input={"uri": store})
    spec = SPEC.evolve(fields=(*SPEC.fields, SPEC.fields[0].evolve(name="out.row")))
    desk.deliver("things/a.csv", as_csv(asked(5)))
    assert "the field 'out.row' has the name of a column of the answers" in desk.refused(spec=spec)
    assert not desk.out.exists()


def test_a_prefix_without_a_row_is_no_success(desk: ScoringDesk) -> None:
    desk.deliver("things/a.csv", as_csv(asked(5)[:0]))
    assert "there is no row to answer" in desk.refused()


def test_addresses_have_the_time_that_a_cron_jobs_job_is_for(desk: ScoringDesk) -> None:
    """The same in each of its pods; a Job whose name has no time is refused."""
    desk.deliver("2026-12-01/a.csv", as_csv(asked(5)))
    task = desk.task(input={"uri": "s3://raw/{date}/"}, output="s3://out/{time}/")
    report = score(desk.pod(MLOPS_JOB="score-29935080"), task)
    assert report.output == "s3://out/20261201T0600Z/"
    with pytest.raises(BadInput, match="ends in no scheduled time"):
        score(desk.pod(MLOPS_JOB="by-hand"), task)


def test_a_pod_has_no_files_of_its_own(desk: ScoringDesk) -> None:
    """Beside a store in S3 an address of a file is refused."""
    with pytest.raises(BadInput, match="a pod has no files of its own"):
        score(desk.pod(MLOPS_STORE="s3://mlops"), desk.task(input={"uri": "file:///etc/passwd"}))


@pytest.mark.s3
def test_a_prefix_of_a_real_s3(minio_server: S3Server, desk: ScoringDesk) -> None:
    """Model, rows and answers in one service, each in its bucket, with the store's keys; and what is whole stays."""
    store, raw, out = (minio_server.new_bucket() for _ in range(3))
    desk.environ = minio_server.environ() | {"MLOPS_STORE": f"s3://{store}", "MLOPS_S3_SECRET": "team/mlops-store"}
    desk.artifact = desk.store.put_directory(desk.root / "model").digest
    frame, client = asked(2500), minio_server.client()
    for number, part in enumerate(frame.iter_slices(1000)):
        text = as_csv(part).encode()
        client.put_object(raw, f"day/{number}.csv", io.BytesIO(text), len(text))
    places = {"input": {"uri": f"s3://{raw}/day/"}, "output": f"s3://{out}/answers"}
    report = desk.score(part_rows=400, **places)
    assert (report.rows, report.answered, report.parts, report.kept_parts) == (2500, 2500, 8, 0)
    names = [one.object_name for one in client.list_objects(out, "answers/")]
    assert "answers/_manifest.json" in names
    parts = [client.get_object(out, name).read() for name in sorted(names) if "/part-" in name]
    got = pl.concat([pl.read_parquet(io.BytesIO(part)) for part in parts])
    assert got["id"].to_list() == frame["id"].to_list()
    assert set(got["out.file"]) == {f"s3://{raw}/day/{number}.csv" for number in range(3)}
    client.remove_object(out, "answers/part-00001-00002.parquet")
    assert desk.score(part_rows=400, **places).kept_parts == 7
    with pytest.raises(BadInput, match="is where the artifact store lies"):
        desk.score(**places | {"output": f"s3://{store}/answers/"})
    with pytest.raises(BadInput, match="is where the artifact store lies"):
        desk.score(**places | {"input": {"uri": f"s3://{store}/objects/"}})


def test_fields_are_the_models(desk: ScoringDesk) -> None:
    """Without a Dataset there are no keys, and a file is read with plain settings."""
    frame = asked(30)
    desk.deliver("things/a.csv", frame.drop("at").write_csv())
    assert desk.score(spec=None).answered == 30
    assert "id" not in desk.answers().columns
