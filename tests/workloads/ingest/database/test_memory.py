"""Rows go by in bounded memory, however many there are, and however long some are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlops.api.tasks import IngestTask
from tests.servers.databases import Database
from tests.workloads.ingest.database.queries import FIELDS, LONG_WORD, QUERY, WORD
from tests.workloads.ingest.database.tables import of_query
from tests.workloads.ingest.database.whole import ingested

# Reads all rows and keeps none; says how many there were, and the most memory that it held, in MiB.
READ = """
import json, os, sys
from pathlib import Path
from mlops.api.tasks import IngestTask
from mlops.workloads.floor.pod import Pod
from mlops.workloads.ingest.contract import contract_of
from mlops.workloads.ingest.database.reading import database_rows
from tests.workloads.memory import peak_mib
task = IngestTask.model_validate_json(sys.stdin.read())
pod = Pod(os.environ, Path(sys.argv[1]))
rows = 0
for chunk in database_rows(pod, task, task.spec.source.sql, contract_of(task.spec)):
    before = peak_mib() if not rows else before
    rows += chunk.height
print(json.dumps([rows, before, peak_mib()]))
"""


def started(database: Database, query: str, folder: Path) -> subprocess.Popen[str]:
    """A process that reads."""
    task = IngestTask(
        namespace="shop", dataset="things", spec=of_query(database, query, FIELDS), as_of="2024-02-01T00:00:00Z"
    )
    store = {"MLOPS_STORE": f"file://{folder}/store", "MLOPS_BUCKETS": f"file://{folder}/buckets"}
    process = subprocess.Popen(
        [sys.executable, "-c", READ, str(folder)],
        env={**os.environ, **store, **database.environ()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(task.dump()))
    process.stdin.close()
    process.stdin = None
    return process


def read(database: Database, query: str, folder: Path) -> tuple[int, float]:
    """Read in a process of its own; return rows, and by how many MiB its memory grew after the first few."""
    process = started(database, query, folder)
    said, problem = process.communicate()
    assert process.returncode == 0, problem
    rows, before, most = json.loads(said)
    return rows, most - before


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(300_000, id="300 thousand rows"),
        pytest.param(5_000_000, id="5 million rows", marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
    ],
)
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, database: Database, rows: int) -> None:
    query = QUERY[database.engine].format(rows=rows, word=WORD[database.engine])
    read_rows, grown = read(database, query, tmp_path)
    print(f"{database.engine}: {rows:,} rows, {grown:.0f} MiB more")
    assert read_rows == rows
    # All of the smaller number take some 60 MiB as columns, and several times that as objects of Python.
    assert grown < 60, f"{grown:.0f} MiB"


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(300_000, id="300 thousand rows"),
        pytest.param(5_000_000, id="5 million rows", marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
    ],
)
def test_memory_of_a_whole_ingest_is_bounded(tmp_path: Path, database: Database, rows: int) -> None:
    """Read in no order, sorted, split, digested, described and stored. 5 million rows are some 290 MB of values; of all
    of them, no more than two columns are in memory at a time."""
    found = ingested(database, rows, tmp_path)
    print(f"{database.engine}: {rows:,} rows, {found.peak_mib:.0f} MiB, CPU {found.cpu:.1f} s")
    assert found.rows == rows
    assert found.peak_mib < 560, f"{found.peak_mib:.0f} MiB"


def test_long_rows_are_fetched_a_few_at_a_time(tmp_path: Path, database: Database) -> None:
    """400 MB of text."""
    query = QUERY[database.engine].format(rows=4000, word=LONG_WORD[database.engine])
    rows, grown = read(database, query, tmp_path)
    assert rows == 4000
    assert grown < 160, f"{grown:.0f} MiB"


def test_a_query_whose_pod_was_killed_ends_too(tmp_path: Path, postgresql: Database) -> None:
    """Before it gave a row, when the server has nothing to send."""
    query = QUERY["postgresql"].format(rows=1, word="'a'") + ", pg_sleep(600)"
    process = started(postgresql, query, tmp_path)
    count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'reader' AND state = 'active'"
    try:
        assert _becomes(postgresql, count, "1")
    finally:
        process.kill()
        process.communicate()
    assert _becomes(postgresql, count, "0")


def _becomes(database: Database, query: str, wanted: str) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if database.sql(query) == wanted:
            return True
        time.sleep(0.2)
    return False
