"""Kill -9 at any time: nothing is left running, nothing is half there, and the next run comes to the same end."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from mlops.local.records import read_objects
from tests.e2e.runs import (
    MLOPS,
    Object,
    Seen,
    checks,
    descendants,
    differences,
    facts,
    half_artifacts,
    left_over,
    objects,
    run,
)
from tests.e2e.scenarios import Small, small

KILLS = 50
SEED = 20240301
# What a run does, in this order; "again" is the work that the monitor asks for.
WORK = ("ingest", "train", "verify", "roll-out", "replay", "drift", "ingest again", "train again", "verify again")


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(2400)
def test_killed_at_random_moments_it_comes_to_the_same_end(tmp_path: Path) -> None:
    """At least 50 kills, in nearly all kinds of work; every folder comes to the undisturbed run's end."""
    scenario = small(tmp_path / "scenario", days=3, change=1, rows=100)
    undisturbed = run(scenario.folder, tmp_path / "undisturbed")
    assert undisturbed.code == 0
    assert checks(tmp_path / "undisturbed", "parts")[-1]["action"].startswith("Retrain: ")
    want = facts(tmp_path / "undisturbed")
    random, hit, lives = Random(SEED), Counter[str](), 0
    # About a single piece of work; longer where kills have come again and again, so that there is progress.
    longest = max(4.0, undisturbed.seconds * 0.2)
    start = time.monotonic()
    # The shortest kinds of work take a second: chance may need some kills more, but not for ever.
    while hit.total() < KILLS or (not set(WORK) <= set(hit) and hit.total() < 2 * KILLS):
        lives += 1
        state = tmp_path / f"life-{lives}"
        last, stuck = "", 0
        while phase := one_try(scenario, state, random, longest * (1 + stuck / 2), patient=stuck > 1):
            last, stuck = phase, stuck + 1 if phase == last else 0
            hit[phase] += 1
            print(f"{time.monotonic() - start:6.0f} s  kill {hit.total():2}  folder {lives}  in {phase}", flush=True)
            assert half_artifacts(state) == []
        assert differences(want, facts(state)) == []
        assert half_artifacts(state) == []
        print(f"{time.monotonic() - start:6.0f} s  folder {lives} came to the same end", flush=True)
    assert len(set(WORK) & set(hit)) >= len(WORK) - 2, hit
    print(f"{hit.total()} kills in {lives} folders: {dict(hit)}; undisturbed {undisturbed.seconds:.0f} s")


def one_try(scenario: Small, state: Path, random: Random, longest: float, *, patient: bool) -> str | None:
    """Start a run and kill it; return what it was at, or None if it came to its end before. Asserts no orphans.

    Half of the kills come at a random time, half within a second of the begin of a random kind of work; a `patient`
    one always comes in the second half of the time.
    """
    wanted = None if patient else random.choice((*WORK, *[None] * len(WORK)))
    after = random.uniform(0, 1) if wanted else random.uniform(longest / 2 if patient else 0, longest)
    with (state.parent / f"{state.name}.log").open("a") as log:
        process = subprocess.Popen(
            [MLOPS, "run", "-f", str(scenario.folder), "--state", str(state), "--plain"], stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + longest
        while wanted and time.monotonic() < deadline and process.poll() is None and phase_of(state) != wanted:
            time.sleep(0.02)
        try:
            process.wait(timeout=after)
        except subprocess.TimeoutExpired:
            children = descendants(process.pid)
            process.kill()
        else:
            assert process.returncode == 0, Path(log.name).read_text()[-4000:]
            children = set[Seen]()
    finally:
        process.kill()
        process.wait()
    assert left_over(state, children) == set()
    return phase_of(state) if process.returncode else None


def phase_of(state: Path) -> str:
    """What a run is doing, as its objects say."""
    present = read_objects(state)
    active = [m for m in present if m["kind"] == "Job" and not is_finished(m)]
    if not any(manifest["kind"] == "Job" for manifest in present):
        return "start"
    if active:
        component: str = active[-1]["metadata"]["labels"]["app.kubernetes.io/component"]
        name = {"dataset": "ingest", "training-run": "train", "model-version": "verify"}.get(component, component)
        trained = any(manifest["kind"] == "ModelVersion" and manifest["spec"]["version"] == 1 for manifest in present)
        again = {"ingest": trained, "train": trained, "verify": len(objects(state, "ModelVersion")) > 1}
        return f"{name} again" if again.get(name) else name
    servers = [manifest for manifest in present if manifest["kind"] == "Deployment"]
    if not servers:
        return "between"
    return "replay" if is_available(servers[0]) else "roll-out"


def is_finished(job: Object) -> bool:
    """Whether the Job is over."""
    return any(c["type"] in ("Complete", "Failed") for c in job.get("status", {}).get("conditions", ()))


def is_available(deployment: Object) -> bool:
    """Whether all pods of the newest template are there."""
    status = deployment.get("status", {})
    return bool(
        status.get("observedGeneration") == deployment["metadata"]["generation"] and status.get("readyReplicas")
    )
