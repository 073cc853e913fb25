"""`mlops predict --batch`: all rows of a place answered as Parquet, and the Job that does so in a cluster."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from mlops.api import tasks
from tests.cli import orders
from tests.cli.project import command, environment, mlops, processes_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder after the project's run."""
    place = tmp_path_factory.mktemp("orders")
    ended = mlops("run", "-f", orders.write(place / "project"), "--state", place / "state")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return place / "state"


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A file as the shop writes it."""
    (tmp_path / "new.csv").write_bytes(orders.as_delivered(orders.rows(300, seed=5)))
    return tmp_path / "new.csv"


def batch(state: Path, *words: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run it for the model of the project."""
    ended = mlops("predict", "orders", *words, "--state", state)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended


def answers(place: Path) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in sorted(place.glob("part-*.parquet"))])


def test_a_file_is_answered_and_what_is_there_stays(state: Path, rows: Path, tmp_path: Path) -> None:
    """The Dataset's dialect and keys; the summary says what was done, and what was there."""
    ended = batch(state, "--batch", rows, "--into", tmp_path / "out", "--part-rows", "100")
    got, sent = answers(tmp_path / "out"), orders.rows(300, seed=5)
    assert got["id"].to_list() == sent["id"].to_list()
    assert got["out.row"].to_list() == list(range(1, 301))
    assert set(got["out.file"]) == {str(rows)}
    assert set(got["out.prediction"]) == {"no", "yes"}
    assert "300, in 3 parts\n" in ended.stdout
    alone = json.loads(batch(state, "--file", rows, "-o", "json").stdout.splitlines()[0])
    assert got["out.prediction"][0] == alone["prediction"]
    again = json.loads(
        batch(state, "--batch", rows, "--into", tmp_path / "out", "--part-rows", "100", "-o", "json").stdout
    )
    assert (again["keptParts"], again["answered"]) == (3, 300)
    assert set(got["out.model"]) == {again["artifact"]}


def test_a_folder_and_a_version_of_a_dataset(state: Path, rows: Path, tmp_path: Path) -> None:
    """Named as such; all inputs beside the answers, if asked for."""
    place = tmp_path / "two words"
    place.mkdir()
    for name in ("a.csv", "b ü.csv"):
        (place / name).write_bytes(rows.read_bytes())
    batch(state, "--batch", place, "--into", tmp_path / "out one")
    assert answers(tmp_path / "out one").height == 600
    assert set(answers(tmp_path / "out one")["out.file"]) == {str(place / "a.csv"), str(place / "b ü.csv")}
    batch(state, "--batch", "dataset:orders@1", "--into", tmp_path / "out", "--columns", "all")
    assert answers(tmp_path / "out").height == 400
    assert set(orders.INPUTS) <= set(answers(tmp_path / "out").columns)


def test_a_row_that_a_server_refuses_ends_it_or_is_put_aside(state: Path, tmp_path: Path) -> None:
    """With exit code 2, file, row, column and value; or with 1, and the count."""
    frame = orders.rows(20, seed=5).with_columns(pieces=pl.when(pl.int_range(20) == 6).then(0).otherwise("pieces"))
    (tmp_path / "new.csv").write_bytes(orders.as_delivered(frame))
    words = ("--batch", tmp_path / "new.csv", "--into")
    said = batch(state, *words, tmp_path / "out", code=2).stderr
    assert f'{tmp_path}/new.csv: row 7: pieces = "0": does not meet the condition `pieces > 0`' in said
    ended = batch(state, *words, tmp_path / "other", "--on-invalid", "quarantine", code=1)
    assert "19, in 1 part\n" in ended.stdout
    assert re.search(r"^put aside +1$", ended.stdout, re.MULTILINE)
    assert pl.read_parquet(tmp_path / "other/_refused-00000-00000.parquet")["out.row"].to_list() == [7]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_one_that_is_stopped_leaves_no_process_and_goes_on(number: int, state: Path, tmp_path: Path) -> None:
    """However it is stopped."""
    (tmp_path / "new.csv").write_bytes(orders.as_delivered(orders.rows(60_000, seed=5)))
    out = tmp_path / "out"
    words = ("predict", "orders", "--batch", tmp_path / "new.csv", "--into", out, "--part-rows", "500")
    process = subprocess.Popen(
        command(*words, "--state", state), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
    )
    deadline = time.monotonic() + 120
    while not (out / "_part-00000-00001.json").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    assert process.wait(timeout=30) == (-number if number == signal.SIGKILL else 128 + number)
    while processes_of(out):
        assert time.monotonic() < deadline, processes_of(out)
        time.sleep(0.05)
    assert not (out / "_manifest.json").exists()
    kept = len(list(out.glob("_part-*")))
    ended = mlops(*words, "--state", state)
    assert ended.returncode == 0, ended.stderr
    assert f"60,000, in 120 parts, {kept} of which were there\n" in ended.stdout
    assert answers(out)["out.row"].to_list() == list(range(1, 60_001))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("--batch", "{rows}"), "--into: say where the answers go", id="nowhere"),
        pytest.param(("--batch", "no.csv", "--into", "out"), "there is no such file or folder", id="no file"),
        pytest.param(("--batch", "{rows}", "--into", "{rows}"), "is no folder", id="a file"),
        pytest.param(("--into", "out", "--example"), "--into: with --batch only", id="no batch"),
        pytest.param(("--batch", "{rows}", "--into", "o", "--example"), "--example: not with --batch", id="two ways"),
        pytest.param(("--batch", "{rows}", "--into", "o", "a=1"), "a=1: not with --batch", id="words"),
        pytest.param(("--batch", "{rows}", "--into", "o", "--store", "s3://x"), "--store: with --manifest", id="store"),
        pytest.param(("--batch", "{rows}", "--into", "o/{{time}}"), "are those of a CronJob's Job", id="time"),
        pytest.param(("--batch", "dataset:other", "--into", "o"), "there is no Dataset 'other'", id="dataset"),
        pytest.param(("--batch", "dataset:orders@9", "--into", "o"), "has no version 9; its versions are 1", id="9"),
        pytest.param(("--batch", "{rows}", "--into", "o", "--dataset", "x"), "there is no Dataset 'x'", id="dialect"),
        pytest.param(("--batch", "s3://nowhere/x/", "--into", "o"), "s3://nowhere/x/: there is no", id="bucket"),
        pytest.param(("--batch", "{rows}", "--into", "{store}"), "is where the artifact store lies", id="own place"),
        pytest.param(("--batch", "{folder}", "--into", "{folder}/o"), "go to a place of their own", id="among rows"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_written(
    state: Path, rows: Path, tmp_path: Path, words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    known = {"rows": rows, "folder": tmp_path, "store": state / "store/answers"}
    assert said in batch(state, *(one.format(**known) for one in words), code=2).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["new.csv"]


STORE = ("--store", "s3://mlops/{namespace}")


def test_a_manifest_is_that_of_the_state_or_of_a_clusters_objects(state: Path, tmp_path: Path) -> None:
    """A Job, or a CronJob whose answers go to a place for each of its times."""
    words = ("--batch", "s3://raw/{date}/", "--into", "s3://out/{time}", "--manifest", *STORE)
    made = yaml.safe_load(batch(state, *words, "--schedule", "0 4 * * *", "--time-zone", "Europe/Berlin").stdout)
    assert (made["kind"], made["spec"]["schedule"]) == ("CronJob", "0 4 * * *")
    container = made["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    told = {one["name"]: one.get("value") for one in container["env"]}
    task = tasks.parse_task(str(told["MLOPS_TASK"]))
    assert isinstance(task, tasks.ScoreTask)
    assert (task.input.uri, task.output) == ("s3://raw/{date}/", "s3://out/{time}/")
    assert told["MLOPS_STORE"] == "s3://mlops/default"
    objects = mlops("get", "mver,dset", "-o", "yaml", "--state", state).stdout
    words = ("--batch", "dataset:orders", "--into", "s3://out/x/", "--manifest", *STORE, "--name", "once", "-f", "-")
    ended = mlops("predict", "orders", *words, "--state", tmp_path / "none", given=objects.encode())
    assert ended.returncode == 0, ended.stderr
    job: dict[str, Any] = yaml.safe_load(ended.stdout)
    assert (job["kind"], job["metadata"]["name"]) == ("Job", "once")
    (text,) = (one["value"] for one in job["spec"]["template"]["spec"]["containers"][0]["env"][:1])
    pinned = tasks.parse_task(text)
    assert isinstance(pinned, tasks.ScoreTask)
    assert pinned.artifact == task.artifact
    assert pinned.input.dataset is not None
    assert (pinned.input.dataset.version, pinned.spec) == (1, None)


PLACES = ("--batch", "s3://raw/x/", "--into", "s3://out/x/")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(PLACES, "--store: say the installation's store", id="store"),
        pytest.param((*PLACES, "--store", "file:///x"), "pods have a store in S3", id="folder"),
        pytest.param(("--batch", "x.csv", "--into", "s3://out/x", *STORE), "a pod has no files of its own", id="file"),
        pytest.param(("--batch", "s3://raw/x", "--into", "x", *STORE), "a pod's files go with it", id="into"),
        pytest.param((*PLACES, *STORE, "--schedule", "0 4 * * *"), "say {time} or {date} in it", id="one place"),
        pytest.param((*PLACES[:2], "--into", "s3://o/{time}", *STORE), "with --schedule only", id="no schedule"),
        pytest.param(
            (*PLACES[:2], "--into", "s3://o/{time}", *STORE, "--schedule", "daily"),
            "--schedule 'daily': a cron line has five fields",
            id="cron",
        ),
        pytest.param(
            (*PLACES[:2], "--into", "s3://o/{time}", *STORE, "--schedule", "0 4 * * *", "--time-zone", "1"),
            "--time-zone '1': name one",
            id="zone",
        ),
        pytest.param((*PLACES, *STORE, "--time-zone", "UTC"), "--time-zone is that of a --schedule", id="zone alone"),
        pytest.param((*PLACES, *STORE, "--name", "Once"), "--name 'Once': at most 63", id="name"),
        pytest.param((*PLACES, *STORE, "--env", "A"), "--env 'A': the form is NAME=VALUE", id="variable"),
        pytest.param((*PLACES, *STORE, "-f", "none.yaml"), "none.yaml: No such file", id="objects"),
        pytest.param((*PLACES, *STORE, "-f", "-"), "-f -: holds no object", id="nothing"),
    ],
)
def test_a_mistake_in_a_manifest_is_told(
    state: Path, tmp_path: Path, words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = batch(state, *words, "--manifest", code=2)
    assert said in ended.stderr
    assert ended.stdout == ""
