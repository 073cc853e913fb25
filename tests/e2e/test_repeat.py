"""The same input gives the same result: on the same state without work, on another machine's state bit for bit."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import Undisturbed
from tests.e2e.runs import checks, differences, facts, half_artifacts, is_live, objects, one, run, touching

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# What another user's shell may say, as far as it reaches a pod at all.
OTHER_SHELL = {
    "OMP_NUM_THREADS": "3",
    "OPENBLAS_NUM_THREADS": "3",
    "MKL_NUM_THREADS": "3",
    "POLARS_MAX_THREADS": "1",
    "PYTHONHASHSEED": "12345",
    "TZ": "Asia/Kathmandu",
    "LANG": "tr_TR.UTF-8",
    "LC_ALL": "tr_TR.UTF-8",
}
# Read by every Python that starts, before anything counts threads: so the other settings reach the pods too, which
# set their own. It leaves a witness of each pod that it reached.
REACHING = {name: value for name, value in OTHER_SHELL.items() if name != "PYTHONHASHSEED"}
SITE = f"""
import os, sys, time
if "mlops.workloads" in sys.orig_argv:
    os.environ.update({REACHING!r})
    time.tzset()
    open(os.path.join(os.path.dirname(__file__), "reached-%d" % os.getpid()), "w").close()
"""


def test_the_small_scenario_shows_the_whole_loop(undisturbed: Undisturbed) -> None:
    """A change of the relation is found by the first check that sees it whole, and leads to a better version."""
    state, changed_at = undisturbed.state, f"{undisturbed.scenario.changed_at:%Y-%m-%dT%H:%M:%SZ}"
    found = checks(state, "parts")
    assert len(found) == 6
    before = [check for check in found if check["time"] <= changed_at]
    first, *after = (check for check in found if check["time"] > changed_at)
    assert {check["verdict"] for check in before} == {"Stable"}
    assert first["verdict"] in ("ConceptDrift", "PerformanceDrop")
    assert first["action"].startswith("Retrain: ")
    assert {check["verdict"] for check in after} == {"Stable"}
    assert float(first["metric"]) < 0.5 < float(after[-1]["metric"])
    assert [is_live(one(state, "ModelVersion", f"parts-v{number}")) for number in (1, 2)] == [False, True]
    assert half_artifacts(state) == []
    assert touching(state) == set()


def test_a_second_run_on_the_same_state_does_nothing_again(undisturbed: Undisturbed) -> None:
    """No Job, no pod but the server's, no log line of a finished one; the digests stay."""
    jobs, pods, logs = work(undisturbed.state)
    second = run(undisturbed.scenario.folder, undisturbed.state)
    assert second.code == 0
    assert differences(undisturbed.facts, facts(undisturbed.state)) == []
    assert work(undisturbed.state) == (jobs, pods, logs)
    first = undisturbed.first.seconds
    print(f"\nfirst run {first:.1f} s, second {second.seconds:.1f} s: {second.seconds / first:.1%}")
    assert second.seconds < first / 2


def work(state: Path) -> tuple[dict[str, str], dict[str, str], dict[str, int]]:
    """Jobs and their pods by uid, and the sizes of their logs."""
    jobs = {job["metadata"]["uid"]: job["metadata"]["name"] for job in objects(state, "Job")}
    pods = {
        pod["metadata"]["uid"]: pod["metadata"]["name"]
        for pod in objects(state, "Pod")
        if pod["metadata"]["labels"]["app.kubernetes.io/component"] != "serve"
    }
    logs = {
        str(log.relative_to(state)): log.stat().st_size
        for log in (state / "logs").rglob("*")
        if log.is_file() and "-production-" not in str(log.relative_to(state))
    }
    return jobs, pods, logs


def test_another_folder_and_other_threads_give_the_same_bits(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """Data, inputs, models, predictions, verdicts, reports: equal in a fresh folder, under another user's settings."""
    elsewhere = tmp_path / "a place with spaces" / "ü"
    shutil.copytree(undisturbed.scenario.folder, elsewhere / "scenario")
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(SITE)
    path = os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH")]))
    ended = run(elsewhere / "scenario", elsewhere / "state", environ={**OTHER_SHELL, "PYTHONPATH": path})
    assert ended.code == 0
    # Six checks, and twice ingest, train, verify, serve.
    assert len(list((tmp_path / "site").glob("reached-*"))) >= 14
    assert differences(undisturbed.facts, facts(elsewhere / "state")) == []
