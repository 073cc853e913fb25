"""Change the code line by line and see whether the tests notice: mutmut on one room, in a copy of its own.

    python hack/mutate.py statistics --only change_point --seconds 600

mutmut knows sources in `src` only, and writes beside them: the copy in build/mutation has them there. A second call
goes on where the first one ended. Survivors that docs/mutation.md does not list end it with 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
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
# What tests import or read beside the code.
BESIDE = ("tests", "bench", "hack", "crds")
# By mutmut: 0 a test run without failure, 33 no test at all.
_SURVIVED, _UNTESTED = 0, 33


@dataclass(frozen=True)
class Room:
    """What is changed, and the tests that have to notice."""

    code: str
    tests: tuple[str, ...]
    without: tuple[str, ...] = ()
    # Libraries with threads hang in a fork of the process that has used them.
    isolation: str = "fork"


ROOMS = {
    # Rates of false alarms take minutes, and hold within bounds.
    "statistics": Room("mlops/statistics", ("tests/statistics",), ("test_calibration.py",)),
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
        "mlops/workloads/drift/verdict.py",
        ("tests/workloads/drift/test_verdict.py", "tests/workloads/drift/test_report.py"),
        isolation="forkserver",
    ),
}


def lay_out(room: Room, place: Path, only: str) -> None:
    """Make the copy, unless there is one of the same code and tests: what was tried in it is not tried again."""
    parts = {"src/mlops": ROOT / "operator" / "mlops", **{name: ROOT / name for name in BESIDE}}
    settings = "".join(_settings(room, only))
    state = hashlib.sha256(settings.encode())
    for folder in parts.values():
        for file in sorted(each for each in folder.rglob("*") if each.is_file() and "__pycache__" not in each.parts):
            state.update(f"{file.relative_to(ROOT)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    stamp = place / "state"
    if stamp.is_file() and stamp.read_text("utf-8") == state.hexdigest():
        return
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for target, folder in parts.items():
        shutil.copytree(folder, place / target, ignore=shutil.ignore_patterns("__pycache__"))
    (place / "pyproject.toml").write_text(settings, "utf-8")
    stamp.write_text(state.hexdigest(), "utf-8")


def _settings(room: Room, only: str) -> Iterator[str]:
    """Yield the lines of the copy's pyproject.toml."""
    code = f"src/{room.code}"
    chosen = f"{code}/{only}.py" if only else (code if code.endswith(".py") else f"{code}/*")
    without = [f"--ignore={folder}/{name}" for folder in room.tests for name in room.without]
    markers = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"]["ini_options"]["markers"]
    mutmut = {
        "source_paths": ["src"],
        "only_mutate": [chosen],
        "also_copy": list(BESIDE),
        "pytest_add_cli_args": ["-p", "no:cacheprovider", *without],
        "pytest_add_cli_args_test_selection": list(room.tests),
        "process_isolation": room.isolation,
        "forkserver_warmup": "none",
    }
    pytest = {"pythonpath": ["src", "."], "addopts": ["--import-mode=importlib"], "asyncio_mode": "auto"}
    for table, values in (("mutmut", mutmut), ("pytest.ini_options", pytest | {"markers": markers})):
        yield f"[tool.{table}]\n"
        yield from (f"{name} = {json.dumps(value)}\n" for name, value in values.items())


def run(place: Path, seconds: float) -> None:
    """Have mutmut try as many changes as it can in that time."""
    command = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", "1"]
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
    found: dict[str, int] = {}
    for file in sorted((place / "mutants" / "src").rglob("*.meta")):
        codes = json.loads(file.read_text("utf-8"))["exit_code_by_key"]
        found |= {name: code for name, code in codes.items() if code is not None}
    return found


def change(place: Path, name: str) -> str:
    """Return a change as docs/mutation.md lists it, the row of a table without its last cell: the function, the line
    before and after."""
    command = [str(Path(sys.executable).with_name("mutmut")), "show", name]
    shown = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False).stdout.splitlines()
    lines = [line for line in shown if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    function = name.partition("__mutmut_")[0].removeprefix("mlops.").replace("x_", "", 1).replace("xǁ", "")
    cells = [function.replace("ǁ", ".")]
    cells += [" ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+"]
    return "".join(f"| `{cell.replace('|', chr(92) + '|')}` " for cell in cells) + "|"


def main() -> int:
    """Try changes of one room and list those that no test noticed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("room", choices=ROOMS)
    parser.add_argument("--only", default="", metavar="MODULE", help="one module of the room, without .py")
    parser.add_argument("--seconds", type=float, default=3600.0, help="how long to try")
    options = parser.parse_args()
    room, place = ROOMS[options.room], WORK / "-".join(filter(None, (options.room, options.only)))
    lay_out(room, place, options.only)
    run(place, options.seconds)
    outcomes = tried(place)
    survivors = [change(place, name) for name, code in outcomes.items() if code in (_SURVIVED, _UNTESTED)]
    known = PAGE.read_text("utf-8")
    unknown = [each for each in survivors if each not in known]
    print(
        f"{options.room}: {len(outcomes)} changes tried, {len(survivors)} survived, {len(unknown)} of them not listed"
    )
    for each in unknown:
        print(each)
    return 1 if unknown or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
