"""Ingest of a whole table of a database: time, and the most memory, by the number of rows.

    python bench/ingest_database.py                                  300 thousand, 1 and 5 million rows of PostgreSQL
    python bench/ingest_database.py --rows 5000000 --memory-limit 700
    python bench/ingest_database.py --engine mariadb

A server of its own is started (Debian's packages postgresql, mariadb-server), whose rows are generated as they are
asked for: a key, a time, two numbers and a text. The ingest is a whole process, which also sorts, splits, digests,
profiles and stores; memory is the process's peak (ru_maxrss).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.servers.databases import mariadb_server, postgresql_server
from tests.workloads.ingest.database.whole import Whole, ingested

SERVERS = {"postgresql": postgresql_server, "mariadb": mariadb_server}


def main() -> int:
    """Parse the command line; the exit code says whether a memory limit held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[300_000, 1_000_000, 5_000_000])
    parser.add_argument("--engine", choices=list(SERVERS), default="postgresql")
    parser.add_argument("--memory-limit", type=int, help="MiB that each ingest must stay below, else exit code 1")
    options = parser.parse_args()
    most = 0.0
    with SERVERS[options.engine]() as server, tempfile.TemporaryDirectory() as folder:
        if options.engine == "mariadb":
            server.sql("CREATE DATABASE bench; GRANT SELECT ON bench.* TO reader@'%'")
        else:
            server.sql("CREATE DATABASE bench", "")
        server.name = "bench"
        for number, rows in enumerate(options.rows):
            found: Whole = ingested(server, rows, Path(folder) / str(number))
            most = max(most, found.peak_mib)
            print(
                f"{rows:>10,} rows  {found.wall:7.1f} s  CPU {found.cpu:7.1f} s  peak {found.peak_mib:5.0f} MiB",
                flush=True,
            )
    if options.memory_limit and most > options.memory_limit:
        print(f"{most:.0f} MiB, the limit is {options.memory_limit}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
