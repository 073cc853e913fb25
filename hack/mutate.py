"""Change the code line by line and see whether the tests notice: mutmut on one room, in a copy of its own.

    python hack/mutate.py statistics --only change_point --seconds 600
    python hack/mutate.py planning --only monitor --sample 40 --seed 1
    python hack/mutate.py planning --only monitor --sample 40 --seed 1 --survivors

mutmut knows sources in `src` only, and writes beside them: the copy in build/mutation has them there. A second call
goes on where the first one ended. `--sample` tries that many changes of each module, drawn by the seed. `--survivors`
tries once more, with the tests as they are now, what survived or ran out of time. Survivors that docs/mutation.md does
not list end it with 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "mutation.md"
WORK = ROOT / "build" / "mutation"
# For --only: the modules of a room, without those in its folders.
ITSELF = "."
# What tests import or read beside the code.
BESIDE = ("tests", "bench", "hack", "crds", "examples")
# By mutmut: 0 a test run without failure, 33 and 5 no test at all.
_SURVIVED = (0, 5, 33)
# By mutmut: ended for its time, by a signal or by its limit. Nobody has noticed anything yet.
_OUT_OF_TIME = (24, 36, 152, 255, -24, -9)
# Makes the changes without trying one: their names have to be known before a sample is drawn.
_MAKE_CHANGES = (
    "from mutmut.__main__ import *; os.makedirs('mutants', exist_ok=True); copy_src_dir(); create_mutants(1)"
)

# Prints what each of the named changes changes: in one process, since each has to read all of the code.
_SHOW_CHANGES = """
import json, sys
from mutmut.mutation.diff_apply import find_mutant, get_diff_for_mutant
print(json.dumps({name: get_diff_for_mutant(name, path=find_mutant(name).path) for name in sys.argv[1:]}))
"""


@dataclass(frozen=True)
class Room:
    """What is changed, and the tests that have to notice."""

    code: str
    tests: tuple[str, ...]
    without: tuple[str, ...] = ()
    # Libraries with threads hang in a fork of the process that has used them, not of one that has only imported them.
    isolation: str = "fork"
    # Files and folders of `code` that are changed; all if empty.
    parts: tuple[str, ...] = ()
    # pytest's expression for -k: tests by name.
    chosen: str = ""


# Without those that train a model: libraries that have used threads hang in a fork.
_VERDICT_TESTS = ("answers", "answers_without_labels", "explained", "faults", "units")

ROOMS = {
    # Rates of false alarms take minutes, and hold within bounds.
    "statistics": Room(
        "mlops/statistics",
        ("tests/statistics",),
        ("test_calibration.py",),
        chosen="not as_rarely_as_promised",
    ),
    # Histories of any length ask only for what always holds; ways out are told from the source, which is another here.
    "planning": Room(
        "mlops/planning",
        ("tests/planning",),
        (
            "test_any_history.py",
            "test_properties.py",
            "test_loop.py",
            "test_ways_out.py",
            "monitor/test_retrain_chain.py",
        ),
    ),
    "verdict": Room(
        "mlops/workloads/drift",
        tuple(f"tests/workloads/drift/test_{name}.py" for name in _VERDICT_TESTS),
        isolation="forkserver",
        parts=("verdict", "checks", "alike", "label_balance", "target", "units"),
    ),
}


def lay_out(room: Room, place: Path, only: str, *, new_tests: bool = False) -> None:
    """Make the copy, unless there is one of the same code and tests: what was tried in it is not tried again.

    With `new_tests` a copy of the same code is kept and gets the tests as they are now.
    """
    code = {"src/mlops": ROOT / "operator" / "mlops"}
    beside = {name: ROOT / name for name in BESIDE}
    settings = "".join(_settings(room, only))
    state = {"code": _digest(code, settings), "tests": _digest(beside)}
    stamp = place / "state.json"
    before = json.loads(stamp.read_text("utf-8")) if stamp.is_file() else {}
    if before == state:
        return
    keep = new_tests and before.get("code") == state["code"]
    if not keep:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        (place / "pyproject.toml").write_text(settings, "utf-8")
    for target, folder in (beside if keep else code | beside).items():
        shutil.rmtree(place / target, ignore_errors=True)
        shutil.copytree(folder, place / target, ignore=shutil.ignore_patterns("__pycache__"))
    stamp.write_text(json.dumps(state), "utf-8")


def _digest(folders: dict[str, Path], *texts: str) -> str:
    """Return a digest of the files in the folders, and of the texts."""
    state = hashlib.sha256("\0".join(texts).encode())
    for folder in folders.values():
        for file in sorted(each for each in folder.rglob("*") if each.is_file() and "__pycache__" not in each.parts):
            state.update(f"{file.relative_to(ROOT)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return state.hexdigest()


def _settings(room: Room, only: str) -> Iterator[str]:
    """Yield the lines of the copy's pyproject.toml."""
    code = f"src/{room.code}"
    # A pattern's * matches a slash too.
    itself = [file.stem for file in sorted((ROOT / "operator" / room.code).glob("*.py"))]
    parts = itself if only == ITSELF else (only,) if only else room.parts
    chosen = [pattern for part in parts for pattern in (f"{code}/{part}.py", f"{code}/{part}/*")] or [f"{code}/*"]
    # A folder of the room has its tests in a folder of that name: the others hardly ever notice more.
    apart = only not in ("", ITSELF)
    tests = [f"{folder}/{only}" if apart and (ROOT / folder / only).is_dir() else folder for folder in room.tests]
    without = [f"--ignore={folder}/{name}" for folder in room.tests for name in room.without]
    without += ["-k", room.chosen] if room.chosen else []
    markers = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"]["ini_options"]["markers"]
    mutmut = {
        "source_paths": ["src"],
        "only_mutate": chosen,
        "also_copy": list(BESIDE),
        "pytest_add_cli_args": ["-p", "no:cacheprovider", *without],
        "pytest_add_cli_args_test_selection": tests,
        "process_isolation": room.isolation,
        "forkserver_warmup": "collect",
        # A busy machine is no endless loop.
        "timeout_constant": 4.0,
    }
    pytest = {"pythonpath": ["src", "."], "addopts": ["--import-mode=importlib"], "asyncio_mode": "auto"}
    for table, values in (("mutmut", mutmut), ("pytest.ini_options", pytest | {"markers": markers})):
        yield f"[tool.{table}]\n"
        yield from (f"{name} = {json.dumps(value)}\n" for name, value in values.items())


def sample(place: Path, size: int, seed: int) -> list[str]:
    """Return the names of that many changes of each module, or of all that it has: the same ones for the same code and
    seed."""
    subprocess.run([sys.executable, "-c", _MAKE_CHANGES], cwd=place, check=True, stdout=subprocess.DEVNULL)
    drawn: list[str] = []
    for file, codes in _outcomes(place):
        chance = random.Random(f"{seed} {file.relative_to(place)}")
        drawn += chance.sample(sorted(codes), min(size, len(codes)))
    return drawn


def run(place: Path, seconds: float, names: list[str]) -> None:
    """Have mutmut try these changes, or all that were not tried yet: as many as it can in that time."""
    command = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", "1", *names]
    # It draws its progress, some thousand times; a change may keep a test, and its process, busy for ever.
    with (
        (place / "mutmut.log").open("wb") as log,
        subprocess.Popen(command, cwd=place, stdout=log, stderr=log, start_new_session=True) as process,
    ):
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def tried(place: Path) -> dict[str, int]:
    """Return the changes that were tried, by name, with mutmut's code for what came of each."""
    return {name: code for _, codes in _outcomes(place) for name, code in codes.items() if code is not None}


def _outcomes(place: Path) -> Iterator[tuple[Path, dict[str, int | None]]]:
    """Yield each changed module with its changes and what came of each, None of those not tried yet."""
    for file in sorted((place / "mutants" / "src").rglob("*.meta")):
        yield file, json.loads(file.read_text("utf-8"))["exit_code_by_key"]


def changes(place: Path, names: list[str]) -> dict[str, str]:
    """Return changes by name as docs/mutation.md lists them, the row of a table without its last cell: the function,
    the line before and after."""
    command = [sys.executable, "-c", _SHOW_CHANGES, *names]
    shown = json.loads(subprocess.run(command, cwd=place, capture_output=True, text=True, check=True).stdout)
    return {name: _row(name, diff.splitlines()) for name, diff in shown.items()}


def _row(name: str, diff: list[str]) -> str:
    lines = [line for line in diff if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    function = name.partition("__mutmut_")[0].removeprefix("mlops.").replace("x_", "", 1).replace("xǁ", "")
    cells = [function.replace("ǁ", ".")]
    cells += [" ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+"]
    return "".join(f"| `{cell.replace('|', chr(92) + '|')}` " for cell in cells) + "|"


def main() -> int:
    """Try changes of one room and list those that no test noticed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("room", choices=ROOMS)
    parser.add_argument(
        "--only",
        default="",
        metavar="MODULE",
        help=f"one module or folder of the room, without .py; {ITSELF!r}: the modules that stand in the room itself",
    )
    parser.add_argument("--seconds", type=float, default=3600.0, help="how long to try")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="try N changes of each module, not all")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--survivors", action="store_true", help="only those that survived or ran out of time before")
    options = parser.parse_args()
    room, place = ROOMS[options.room], WORK / "-".join(filter(None, (options.room, options.only.replace("/", "-"))))
    lay_out(room, place, options.only, new_tests=options.survivors)
    drawn = sample(place, options.sample, options.seed) if options.sample else []
    _try(place, drawn, options)
    outcomes = {name: code for name, code in tried(place).items() if not drawn or name in set(drawn)}
    return _tell(place, options.room, outcomes, f"{len(drawn)} drawn with seed {options.seed}" if drawn else "all")


def _try(place: Path, drawn: list[str], options: argparse.Namespace) -> None:
    """Try what was drawn and has no outcome yet, or what is to be tried once more."""
    before = tried(place)
    open_ones = [name for name in drawn if name not in before]
    if options.survivors:
        open_ones = [name for name, code in before.items() if code in _SURVIVED + _OUT_OF_TIME]
    if open_ones or not (drawn or options.survivors):
        run(place, options.seconds, open_ones)


def _tell(place: Path, room: str, outcomes: dict[str, int], of: str) -> int:
    """Print what came of the changes; return 1 if one survived that the page does not list."""
    late = [name for name, code in outcomes.items() if code in _OUT_OF_TIME]
    survivors = changes(place, [name for name, code in outcomes.items() if code in _SURVIVED])
    known = PAGE.read_text("utf-8")
    unknown = {name: each for name, each in survivors.items() if each not in known}
    print(
        f"{room}: {len(outcomes)} changes tried of {of}, {len(survivors)} survived, {len(unknown)} of them not listed;"
        f" {len(late)} ran out of time"
    )
    for name, each in unknown.items():
        print(f"{each} {name}")
    for name in late:
        print(f"out of time: {name}")
    return 1 if unknown or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
