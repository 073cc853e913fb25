"""A whole ingest of a query in a process of its own: how long it took, and the most memory that it held."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from mlops.api.tasks import IngestTask
from tests.servers.databases import Database
from tests.workloads.ingest.database.queries import FIELDS, QUERY, WORD
from tests.workloads.ingest.database.tables import of_query

# A prime and a larger one: all times are different, and come in no order.
SCATTERED = {
    "postgresql": ("+ g * interval", "+ g::bigint * 1000003 % 15485863 * interval"),
    "mariadb": ("INTERVAL seq SECOND", "INTERVAL (seq * 1000003 % 15485863) SECOND"),
}
_INGEST = """
import json, os, resource, sys
from pathlib import Path
from mlops.api.tasks import IngestTask
from mlops.workloads.floor.pod import Pod
from mlops.workloads.ingest.run import ingest
from tests.workloads.memory import peak_mib
report = ingest(Pod(os.environ, Path(sys.argv[1])), IngestTask.model_validate_json(sys.stdin.read()))
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([report.rows, report.digest, used.ru_utime + used.ru_stime, peak_mib()]))
"""


@dataclass(frozen=True)
class Whole:
    """What an ingest came to; seconds, MiB."""

    rows: int
    digest: str
    wall: float
    cpu: float
    peak_mib: float


def ingested(database: Database, rows: int, folder: Path) -> Whole:
    """Ingest so many rows, from the query to the version in the store."""
    query = QUERY[database.engine].format(rows=rows, word=WORD[database.engine])
    first, scattered = SCATTERED[database.engine]
    assert first in query
    query = query.replace(first, scattered, 1)
    task = IngestTask(
        namespace="shop", dataset="things", spec=of_query(database, query, FIELDS), as_of="2024-02-01T00:00:00Z"
    )
    scratch = folder / "scratch"
    scratch.mkdir(parents=True)
    store = {"MLOPS_STORE": f"file://{folder}/store", "MLOPS_BUCKETS": f"file://{folder}/buckets"}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _INGEST, str(scratch)],
        env={**os.environ, **store, **database.environ()},
        input=json.dumps(task.dump()),
        capture_output=True,
        text=True,
        check=False,
    )
    wall = time.perf_counter() - start
    assert done.returncode == 0, done.stderr
    found, digest, cpu, peak = json.loads(done.stdout)
    return Whole(found, digest, wall, cpu, peak)
