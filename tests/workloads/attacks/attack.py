"""Open mutated files as a pod does, each in a process of its own, and count what became of them.

`python -m tests.workloads.attacks.attack FORM COUNT SEED FOLDER` prints one JSON document: how many files were
refused (a named reason), answered (a model with other numbers, or an unchanged place), raised (something that has no
name), and died (a signal, or no end within its limits); and how many payloads ran.
"""

from __future__ import annotations

import collections
import json
import os
import random
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import polars as pl

from mlops.workloads.floor.model import onnx_engine, treelite_engine
from mlops.workloads.floor.model.golden import check_golden, read_golden
from mlops.workloads.floor.model.predictor import Predictor
from mlops.workloads.floor.parquet_file import ParquetError, check_parquet
from mlops.workloads.floor.parquet_reading import read_through
from mlops.workloads.floor.pod import BadInput
from tests.workloads.attacks import seeds
from tests.workloads.attacks.mutations import mutated

# Imported here, so that a fork has them: the engines import them when they are first needed.
LIBRARIES = (onnx_engine, treelite_engine)
FILES = {form: f"model.{form}" for form in ("onnx", "skops", "treelite")} | {"parquet": "rows.parquet"}
MEMORY_BYTES = 3 << 30
SECONDS = 20
ANSWERED, REFUSED, RAISED = 0, 3, 4


def serve(folder: Path) -> None:
    """What a model server does: load, ask for the recorded answers, and answer rows that it has not seen."""
    predictor = Predictor.load(folder)
    check_golden(predictor, read_golden(folder, predictor.signature))
    predictor.predict(seeds.inputs(80, seed=100))


def ingest(path: Path) -> None:
    """What an ingest does with a delivered file."""
    try:
        check_parquet(path)
    except ParquetError as error:
        raise BadInput("FormatError", str(error)) from error
    read_through(path, path.name, ["id", "price", "count", "holiday", "region", "gap"])
    pl.read_parquet_schema(path)


def _outcome(form: str, folder: Path, log: Path) -> int:
    """In the fork: open the file within limits. Return the exit code."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    signal.alarm(2 * SECONDS)
    try:
        if form == "parquet":
            ingest(folder / "rows.parquet")
        else:
            serve(folder)
    except BadInput:
        return REFUSED
    except BaseException:  # noqa: BLE001 -- counted, and written down
        log.write_text(traceback.format_exc())
        return RAISED
    return ANSWERED


def attack(form: str, count: int, seed: int, folder: Path) -> dict[str, int]:
    """Open `count` mutated files; those that raised or died are kept in `folder`."""
    canary, kept, log = folder / "canary", folder / "kept", folder / "traceback.txt"
    kept.mkdir(parents=True)
    _in_a_fork(lambda: seeds.make(folder / "seeds", form))
    places = sorted((folder / "seeds").iterdir())
    originals = [(one / FILES[form]).read_bytes() for one in places]
    counts: collections.Counter[str] = collections.Counter()
    for number in range(count):
        chance = random.Random(f"{seed}/{number}")
        which = chance.randrange(len(originals))
        place = places[which]
        (place / FILES[form]).write_bytes(mutated(form, originals[which], chance, canary))
        child = os.fork()
        if child == 0:
            os._exit(_outcome(form, place, log))
        _, status = os.waitpid(child, 0)
        name = _name(status)
        counts[name] += 1
        if name in ("raised", "died"):
            shutil.copytree(place, kept / f"{name}-{number}")
            if log.exists():
                shutil.move(log, kept / f"{number}.txt")
    return {name: counts[name] for name in ("refused", "answered", "raised", "died")} | {"payloads": canary.exists()}


def _in_a_fork(work: Callable[[], object]) -> None:
    """Threads that a library starts at its first work are not there in a later fork: none may be started before."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        raise RuntimeError("the seeds could not be made")


def _name(status: int) -> str:
    if not os.WIFEXITED(status):
        return "died"
    return {ANSWERED: "answered", REFUSED: "refused", RAISED: "raised"}.get(os.WEXITSTATUS(status), "died")


if __name__ == "__main__":
    print(json.dumps(attack(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))))
