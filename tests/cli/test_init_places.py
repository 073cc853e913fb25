"""`mlops init` on what lies in a bucket or on a web server: the manifest names it, and a sync reads the same rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import openpyxl
import polars as pl
import pytest
import yaml

from mlops.cli.errors import UserError
from mlops.cli.init import command
from mlops.cli.init.options import InitOptions
from tests.servers.s3 import S3Server

ROWS = "a,y\n" + "".join(f"{i},{'ny'[i % 2]}\n" for i in range(40))


def made(folder: Path, *files: str, **said: Any) -> dict[str, Any]:
    """The Dataset that init writes; what it told is under `told`."""
    target = folder / "out.yaml"
    told = command.init(InitOptions(files=files, output=target, **({"label": "y"} | said)))
    dataset: dict[str, Any] = next(yaml.safe_load_all(target.read_text()))
    return dataset | {"told": told, "scenario": (folder / "out.scenario.toml").exists()}


def test_an_object_of_the_state_folders_buckets(tmp_path: Path) -> None:
    """Nothing is delivered again: it is there already."""
    place = tmp_path / "state" / "buckets" / "raw" / "sales"
    place.mkdir(parents=True)
    (place / "may.csv").write_text(ROWS)
    found = made(tmp_path, "s3://raw/sales/may.csv", state=tmp_path / "state")
    assert found["spec"]["source"] == {"s3": {"uri": "s3://raw/sales/may.csv"}}
    assert found["told"][0].startswith("40 rows, 1 features, classification of y")
    assert not found["scenario"]


def test_a_prefix_is_all_its_objects(tmp_path: Path) -> None:
    """Objects of the same name in two folders are two; columns that are folders are told."""
    for month in ("month=5", "month=6"):
        place = tmp_path / "state" / "buckets" / "raw" / "sales" / month
        place.mkdir(parents=True)
        (place / "rows.csv").write_text(ROWS)
    found = made(tmp_path, "s3://raw/sales/", state=tmp_path / "state")
    assert found["spec"]["source"] == {"s3": {"uri": "s3://raw/sales/"}}
    assert found["told"][0].startswith("80 rows")
    assert any("folders such as year=2026/ are columns" in line for line in found["told"])


def test_nothing_there_is_told_with_what_is_like_it(tmp_path: Path) -> None:
    """A misspelt prefix is no empty delivery."""
    (tmp_path / "state" / "buckets" / "raw" / "sales").mkdir(parents=True)
    (tmp_path / "state" / "buckets" / "raw" / "sales" / "may.csv").write_text(ROWS)
    with pytest.raises(UserError, match=r"there is no object; did you mean s3://raw/sales/"):
        made(tmp_path, "s3://raw/sale/", state=tmp_path / "state")


@pytest.mark.s3
def test_a_real_s3_service(minio_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --s3 its address and keys are those of the environment, as for `mlops put --s3`."""
    for name, value in minio_server.environ().items():
        monkeypatch.setenv(name, value)
    bucket = minio_server.new_bucket()
    minio_server.client().put_object(bucket, "sales/may.csv", BytesIO(ROWS.encode()), len(ROWS))
    uri = f"s3://{bucket}/sales/"
    found = made(tmp_path, uri, s3=True, state=tmp_path / "state")
    assert found["spec"]["source"] == {"s3": {"uri": uri}}
    assert found["told"][0].startswith("40 rows")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A web server on this machine with one file."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "rows 1.csv").write_text(ROWS)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/rows%201.csv"
    server.shutdown()
    server.server_close()


def test_a_url_gets_its_digest(site: str, tmp_path: Path) -> None:
    """Other bytes under the same address are refused by every sync."""
    found = made(tmp_path, site, networks=("127.0.0.0/8",))
    digest = hashlib.sha256(ROWS.encode()).hexdigest()
    assert found["spec"]["source"] == {"http": {"url": site, "sha256": digest}}
    assert not found["scenario"]


def test_an_address_that_is_not_public_is_refused(site: str, tmp_path: Path) -> None:
    """As for a sync; the message names init's own option."""
    with pytest.raises(UserError, match=r"leads to 127\.0\.0\.1, which is not public; --allow-network allows more"):
        made(tmp_path, site)


def test_one_source_at_a_time(tmp_path: Path) -> None:
    """A Dataset has one source."""
    with pytest.raises(UserError, match="a Dataset has one source"):
        made(tmp_path, "s3://raw/a.csv", "s3://raw/b.csv", state=tmp_path)


@pytest.mark.parametrize("kind", ["parquet", "excel"])
def test_times_that_a_file_types_have_a_zone_too(kind: str, tmp_path: Path) -> None:
    """Native timestamps without a zone are those of --time-zone, or of UTC, which is told."""
    times = [datetime(2026, 5, 1 + i % 20, 10, 30) for i in range(40)]  # noqa: DTZ001 as files have them
    if kind == "parquet":
        path = tmp_path / "rows.parquet"
        pl.DataFrame({"at": times, "a": range(40), "y": ["n", "y"] * 20}).write_parquet(path)
    else:
        path = tmp_path / "rows.xlsx"
        book = openpyxl.Workbook()
        for row in (("at", "a", "y"), *((at, i, "ny"[i % 2]) for i, at in enumerate(times))):
            book.active.append(row)
        book.save(path)
    told = made(tmp_path, str(path))
    assert any("no offset in the data: UTC is assumed" in line for line in told["told"])
    named = made(tmp_path, str(path), time_zone="Europe/Berlin", force=True)
    (field,) = (one for one in named["spec"]["fields"] if one["name"] == "at")
    assert field["timeZone"] == "Europe/Berlin"
    assert not any("no offset" in line for line in named["told"])


def test_years_of_two_digits_and_long_fractions_are_told(tmp_path: Path) -> None:
    """What is cut, and which century is meant, is in the manifest and on the terminal."""
    path = tmp_path / "rows.csv"
    rows = [
        (f"{1 + i % 28:02}.05.26", f"2026/05/01 10:00:{i:02}.123456789", str(i % 7), "ny"[i % 2]) for i in range(40)
    ]
    path.write_text("day,at,n,y\n" + "".join(",".join(row) + "\n" for row in rows))
    told = made(tmp_path, str(path), dates="day-first")["told"]
    assert any("day: years of two digits" in line for line in told)
    assert any("at: digits of a second beyond microseconds are cut" in line for line in told)


def test_words_that_are_missing_numbers_are_missing_texts(tmp_path: Path) -> None:
    """NA in a column of numbers says what NA is in text; it is told, and no class of its own."""
    path = tmp_path / "rows.csv"
    rows = [("NA" if i == 7 else str(i), "NA" if i % 9 == 0 else "mf"[i % 2], "ny"[i % 2]) for i in range(40)]
    path.write_text("n,sex,y\n" + "".join(",".join(row) + "\n" for row in rows))
    found = made(tmp_path, str(path))
    (field,) = (one for one in found["spec"]["fields"] if one["name"] == "sex")
    assert field["nullValues"] == ["NA"]
    assert field["nullable"]
    assert field["enum"] == ["f", "m"]
    assert any("'NA' 5x is taken for a missing value, as in n" in line for line in found["told"])
