"""`mlops predict`: the answers of a model server without one, and clear words for rows that it does not take."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from tests.cli import orders
from tests.cli.project import command, environment, mlops

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Shop:
    """A model that is served, and the state folder that holds it."""

    state: Path
    output: str
    url: str

    def predict(self, *words: str | Path, given: bytes = b"") -> str:
        """Return what a prediction of the state folder prints."""
        ended = mlops("predict", "orders", *words, "--state", self.state, given=given)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def refused(self, *words: str | Path, code: int = 2) -> str:
        """Return what is said of a prediction that cannot be made."""
        ended = mlops("predict", *words, "--state", self.state)
        assert ended.returncode == code, ended.stdout + ended.stderr
        return ended.stderr

    def ask(self, frame: pl.DataFrame) -> dict[str, list[Any]]:
        """Return the outputs of the HTTP server for rows, asked by a client that was not written here."""
        inputs = [
            {
                "name": name,
                "datatype": orders.DATATYPES[name],
                "shape": [frame.height],
                "data": [one.isoformat() if isinstance(one, datetime) else one for one in frame[name].to_list()],
            }
            for name in orders.INPUTS
        ]
        asked = urllib.request.Request(
            f"{self.url}/v2/models/orders/infer",
            orjson.dumps({"inputs": inputs}),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return {one["name"]: one["data"] for one in json.loads(answer.read())["outputs"]}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The project after its run, still served."""
    place = tmp_path_factory.mktemp("orders")
    words = command("run", "-f", orders.write(place / "project"), "--state", place / "state", "--keep-serving")
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment())
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Ctrl-C stops it"):
            break
    output = "".join(lines)
    url = re.search(r"^serving orders-production at (http://\S+)$", output, re.MULTILINE)
    assert url, output
    yield Shop(place / "state", output, url[1])
    process.terminate()
    assert process.wait(timeout=60) == 143
    process.stdout.close()


def lines_of(output: str) -> list[dict[str, Any]]:
    """The documents of -o json."""
    return [json.loads(line) for line in output.splitlines()]


def test_a_file_is_answered_as_the_server_answers_it_to_the_last_bit(shop: Shop, tmp_path: Path) -> None:
    """Text, dates as the shop writes them, gaps that are filled, computed features: of 2,300 rows, in three pieces."""
    frame = orders.rows(2300, seed=5)
    (tmp_path / "new.csv").write_bytes(orders.as_delivered(frame.with_columns(returned=pl.lit("?"))))
    got = lines_of(shop.predict("--file", tmp_path / "new.csv", "-o", "json"))
    assert [one["row"] for one in got] == list(range(1, 2301))
    want: dict[str, list[Any]] = {"prediction": [], "probabilities": []}
    for piece in frame.iter_slices(1000):
        for name, values in shop.ask(piece).items():
            want[name] += values
    assert [one["prediction"] for one in got] == want["prediction"]
    assert [number for one in got for number in one["probabilities"].values()] == want["probabilities"]
    assert list(got[0]["probabilities"]) == ["no", "yes"]
    assert {one["version"] for one in got} == {"1"}
    assert frame["weight"].null_count() > 100
    assert frame["colour"].null_count() > 100


@pytest.mark.parametrize("number", range(6))
def test_words_are_answered_as_the_server_answers_the_row(shop: Shop, number: int) -> None:
    """A value for each input; nothing after = is a missing value."""
    row = orders.rows(6, seed=77)[number]
    said = {name: row[name][0] for name in orders.INPUTS}
    words = []
    for name, value in said.items():
        text = "" if value is None else value.isoformat() if name == "ordered" else str(value)
        words.append(f"{name}={text.lower() if name == 'express' else text}")
    (got,) = lines_of(shop.predict(*words, "-o", "json"))
    want = shop.ask(row)
    assert [got["prediction"], list(got["probabilities"].values())] == [want["prediction"][0], want["probabilities"]]


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "arrow", "csv.gz"])
def test_rows_come_in_other_formats_than_the_dataset_has(shop: Shop, suffix: str, tmp_path: Path) -> None:
    """With the fields' own names, and the same answers."""
    frame = orders.rows(5, seed=3)
    file = tmp_path / f"new.{suffix}"
    if suffix == "jsonl":
        frame.with_columns(pl.col("ordered").dt.strftime("%d.%m.%Y")).rename({"ordered": "ordered on"}).write_ndjson(
            file
        )
    elif suffix == "csv.gz":
        import gzip

        file.write_bytes(gzip.compress(orders.as_delivered(frame)))
    else:
        (frame.write_parquet if suffix == "parquet" else frame.write_ipc)(file)
    got = lines_of(shop.predict("--file", file, "-o", "json"))
    assert [number for one in got for number in one["probabilities"].values()] == shop.ask(frame)["probabilities"]


def test_standard_input_is_a_file_too(shop: Shop) -> None:
    """Its format is the Dataset's if nothing else is said."""
    frame = orders.rows(3, seed=3)
    text = shop.predict("--file", "-", given=orders.as_delivered(frame))
    assert re.search(r"^ROW +PREDICTION +PROBABILITIES\n1 +(yes|no) +no 0\.\d{6}, yes 0\.\d{6}\n2 ", text)


def test_a_server_is_asked_over_its_protocol(shop: Shop, tmp_path: Path) -> None:
    """--url needs no state folder, and the answers have the classes' names, too."""
    frame = orders.rows(4, seed=8)
    frame.write_parquet(tmp_path / "new.parquet")
    ended = mlops("predict", "orders", "--file", tmp_path / "new.parquet", "--url", shop.url, "-o", "json")
    assert ended.returncode == 0, ended.stderr
    assert lines_of(ended.stdout) == lines_of(shop.predict("--file", tmp_path / "new.parquet", "-o", "json"))


def test_the_lines_that_a_run_prints_at_its_end_work(shop: Shop) -> None:
    """As they stand there: curl against the server, and `mlops predict` without one. Both say the same."""
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    (curl,) = re.findall(r"^try it: (.*)$", shop.output, re.MULTILINE)
    asked = subprocess.run(["sh", "-c", curl], capture_output=True, timeout=60, check=True)
    served = {one["name"]: one["data"] for one in json.loads(asked.stdout)["outputs"]}
    (predict,) = re.findall(r"^ask it: (.*)$", shop.output, re.MULTILINE)
    words = shlex.split(predict)
    assert words[0] == "mlops"
    ended = subprocess.run(
        [sys.executable, "-m", "mlops.cli.main", *words[1:], "-o", "json"],
        capture_output=True,
        env=environment(),
        timeout=60,
        check=True,
    )
    (local,) = lines_of(ended.stdout.decode())
    assert [local["prediction"], list(local["probabilities"].values())] == [
        served["prediction"][0],
        served["probabilities"],
    ]


def test_nothing_is_recorded_of_what_is_asked_without_a_server(shop: Shop, tmp_path: Path) -> None:
    """The state folder is as it was before. What the server was asked until then is written first."""
    urllib.request.urlopen(urllib.request.Request(shop.url + "/-/flush", method="POST"), timeout=60).close()
    before = {path: path.stat().st_mtime_ns for path in (shop.state / "store").rglob("*") if path.is_file()}
    shop.predict("--example")
    assert {path: path.stat().st_mtime_ns for path in (shop.state / "store").rglob("*") if path.is_file()} == before


GOOD = ("ordered=2023-05-06T00:00:00Z", "weight=7.5", "pieces=2", "express=true", "colour=red", "note=x")


def but(**changed: str | None) -> list[str]:
    """The good row with other words."""
    said = dict(word.split("=", 1) for word in GOOD) | changed
    return [f"{name}={value}" for name, value in said.items() if value is not None]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["order", *GOOD], "no model 'order', did you mean orders?; there are orders", id="model"),
        pytest.param(["orders-v1", *GOOD], "say mlops predict orders --version 1", id="the name of a version"),
        pytest.param(["orders", "weigth=1"], "input 'weigth' is unknown, did you mean weight?", id="unknown input"),
        pytest.param(["orders", *but(pieces=None)], "missing: pieces=3", id="missing input"),
        pytest.param(["orders", *GOOD, "note=y"], "input 'note' is there twice", id="twice"),
        pytest.param(["orders", "weight"], "the form is KEY=VALUE", id="no value"),
        pytest.param(["orders", *but(weight="7,5")], 'weight: "7,5" is not a float64', id="decimal comma"),
        pytest.param(["orders", *but(pieces="2.5")], 'pieces: "2.5" is not an int64', id="fraction"),
        pytest.param(["orders", *but(express="perhaps")], 'express: "perhaps" is not a boolean', id="truth"),
        pytest.param(["orders", *but(ordered="soon")], 'ordered: "soon" is not a timestamp', id="time"),
        pytest.param(["orders", *but(pieces="")], "input 'pieces' is missing in row 1", id="missing value"),
        pytest.param(["orders", *but(pieces="0")], "row 1 does not meet the condition `pieces > 0`", id="left out"),
        pytest.param(["orders", *GOOD, "--stage", "staging"], "no such stage; there are production", id="stage"),
        pytest.param(["orders", *GOOD, "--version", "7"], "no such version; there are 1", id="version"),
        pytest.param(["orders", *GOOD, "-n", "team"], "there is one in default", id="namespace"),
        pytest.param(
            ["orders"], "say a value for each input, or --file: orders takes ordered (timestamp)", id="no row"
        ),
        pytest.param(["orders", *GOOD, "--example"], "three ways to say rows", id="two ways"),
        pytest.param(["orders", "--file", "nowhere.csv"], "nowhere.csv: there is no such file", id="no file"),
        pytest.param(["orders", *GOOD, "--url", "here:80"], "write it such as http://127.0.0.1:8080", id="no address"),
        pytest.param(["orders", *GOOD, "--url", "http://127.0.0.1:9"], "no answer", id="nobody there"),
    ],
)
def test_mistakes_are_told_with_the_way_out(shop: Shop, words: list[str], said: str) -> None:
    assert said in shop.refused(*words)


def test_a_value_outside_the_contract_is_answered_and_remarked(shop: Shop) -> None:
    """As by the server, which does not refuse it; the model has seen no such rows."""
    ended = mlops("predict", "orders", *but(weight="2000", colour="gren"), "--state", shop.state)
    assert ended.returncode == 0
    assert "note: row 1 (2000.0): weight > 1000: Dataset orders has no such rows" in ended.stderr
    assert "note: row 1 (gren): colour has a text that training never saw: blue, green, none, red" in ended.stderr


def test_a_row_that_is_refused_ends_it_or_is_told_in_its_place(shop: Shop, tmp_path: Path) -> None:
    """With the number that it has in the file, also in a later piece."""
    frame = orders.rows(1205, seed=2)
    bad = frame.with_row_index().with_columns(
        pieces=pl.when(pl.col("index").is_in([1100, 1203])).then(0).otherwise("pieces")
    )
    bad.write_parquet(tmp_path / "new.parquet")
    said = shop.refused("orders", "--file", tmp_path / "new.parquet")
    assert "row 1101 does not meet the condition" in said
    assert "--keep-going answers the other rows" in said
    words = ("predict", "orders", "--file", tmp_path / "new.parquet", "--keep-going", "-o", "json")
    ended = mlops(*words, "--state", shop.state)
    assert ended.returncode == 1
    assert "2 of 1205 rows were refused" in ended.stderr
    got = lines_of(ended.stdout)
    assert [one["row"] for one in got if "error" in one] == [1101, 1204]
    good = [one["probabilities"]["no"] for one in got if "error" not in one]
    assert good == shop.ask(frame[:1000])["probabilities"][::2] + [
        number
        for piece in (frame[1000:1100], frame[1101:1203], frame[1204:])
        for number in shop.ask(piece)["probabilities"][::2]
    ]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        pytest.param("a.csv", b"a;b\n1;2\n", 'no column "ordered on"', id="columns"),
        pytest.param("a.csv", b"", "a.csv", id="empty"),
        pytest.param("a.parquet", b"PAR1", "a.parquet", id="no parquet"),
        pytest.param("a.json", b"{", "a.json", id="no json"),
        pytest.param(
            "a.csv",
            b'ordered on;weight;pieces;express;colour;note\n01.02.2023;1,5;two;ja;red;"x"\n',
            'row 1, column "pieces" (line 2): "two" is not an int64',
            id="a value",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_told_with_its_place(
    shop: Shop, name: str, content: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert said in shop.refused("orders", "--file", tmp_path / name)
