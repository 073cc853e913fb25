"""The control loop on virtual time: what must always hold does, and each bug that was found stays mended."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.simulation.cases import Case, draw, judge, run
from tests.simulation.planted import BUGS, SOURCES, Bug, plant
from tests.simulation.scenarios import SCENARIOS
from tests.simulation.world import World

ROOT = Path(__file__).resolve().parents[2]
REGRESSIONS = sorted((Path(__file__).parent / "regressions").glob("*.json"))


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_an_undisturbed_story_comes_to_its_end(scenario: str) -> None:
    result = run(Case(scenario, 0))
    assert result.violation is None


# What a person should look at in a story in which nothing goes wrong but what the user does: these, and nothing else.
_NEWS: dict[str, set[str]] = {
    "loop": {"Detected"},
    "slow training": {"Detected"},
    "several causes": {"Detected", "GatesFailed"},
    "revoked keys": {"AccessDenied"},
    "ways back": {"TrainingFailed"},
    "runs": {"DatasetNotFound", "GatesFailed"},
    "stages": {"VersionConflict"},
    "autoscaling": set(),
    "a broken version": {"GoldenFailed"},
    "slow rollouts": {"ArtifactNotFound", "ImagePull", "StoreUnavailable"},
    "calibration": {"Detected"},
    "rollback": {"Detected", "RolledBack"},
    "rollback and rebuild": {"Detected", "RolledBack"},
    "approval": {"ApprovalWanted"},
    "canary": {"CanaryFailed", "CanaryWaiting", "OOMKilled"},
    "new data": set(),
    "growth": {"TrainingFailed"},
    "retention": {"DatasetVersionRemoved"},
    "schedules": set(),
}


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_an_undisturbed_story_warns_of_what_is_wrong_only(scenario: str) -> None:
    """Events that cry wolf are read by nobody: a loop that is applied at once, and each of its rollouts, are silent."""
    assert set(run(Case(scenario, 0)).warnings) == _NEWS[scenario]


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_a_step_can_be_done_though_nothing_came_of_those_before(scenario: str) -> None:
    """In a storm the user waits for nothing: what a step is for may not be there, which only an assertion may say."""
    steps = SCENARIOS[scenario]
    for first in range(len(steps)):
        world = World(0)
        try:
            for step in steps[first:]:
                with contextlib.suppress(AssertionError):
                    step.act(world)
        finally:
            world.close()


@pytest.mark.parametrize("file", [pytest.param(file, id=file.stem) for file in REGRESSIONS])
def test_what_was_found_once_stays_mended(file: Path) -> None:
    """Each is the smallest case that showed a bug."""
    assert judge(Case.load(file.read_text("utf-8"))).violation is None


def test_a_seed_gives_the_same_run_in_every_process() -> None:
    """A seed that is printed is worth nothing if it does not do the same again."""
    code = (
        "import hashlib\n"
        "from tests.simulation.cases import draw, run\n"
        "print(hashlib.sha256(repr([run(draw(seed)) for seed in (3, 4, 5)]).encode()).hexdigest())\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{SOURCES}{os.pathsep}{ROOT}"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
    assert len(found.pop()) == 2 * hashlib.sha256().digest_size + 1


def test_a_case_is_read_as_it_was_written() -> None:
    case = draw(7)
    assert Case.load(case.dump()) == case


@pytest.mark.parametrize("bug", [pytest.param(bug, id=bug.name) for bug in BUGS])
def test_a_planted_bug_has_its_place(bug: Bug) -> None:
    """Whoever changes the line plants the bug again."""
    assert (SOURCES / "mlops" / bug.file).read_text("utf-8").count(bug.right) == 1


@pytest.mark.parametrize("bug", [pytest.param(bug, id=bug.name) for bug in BUGS if bug.kept])
def test_a_kept_case_still_shows_its_bug(bug: Bug, tmp_path: Path) -> None:
    """Who changes what the simulation draws changes what its cases are: one that shows nothing any more is no test."""
    name, invariant = bug.kept or ("", "")
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--replay", str(REGRESSIONS[0].with_name(f"{name}.json"))],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{plant(bug, tmp_path)}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    assert invariant in done.stdout


def _one_of_each_story() -> Iterator[Any]:
    """Yield the bugs that a story shows; `make test` tries the first of each story, `make test-full` all."""
    told: set[str] = set()
    for bug in BUGS:
        if bug.story:
            yield pytest.param(bug, id=bug.name, marks=pytest.mark.long if bug.story in told else ())
            told.add(bug.story)


@pytest.mark.parametrize("bug", list(_one_of_each_story()))
def test_a_story_shows_the_bug_that_it_was_told_for(bug: Bug, tmp_path: Path) -> None:
    """What the loop decides wrongly shows without any fault beside it."""
    case = tmp_path / "case.json"
    case.write_text(Case(str(bug.story), 0).dump())
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--replay", str(case)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{plant(bug, tmp_path)}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
