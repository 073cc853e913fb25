"""The operator under thousands of changes: does its memory grow, does it leave anything behind, is it quiet at rest?

    python bench/operator_soak.py                               1,000 objects, 10,000 updates
    python bench/operator_soak.py --objects 40 --updates 200 --rest 10    does it work?

Objects of all four kinds on a real API server with fake nodes (kwok), then updates in random order (of a given seed):
specs are edited back and forth, runs are deleted and others made (whose Jobs run and end), finished Jobs and pods are
changed by somebody. Updates wait while more than a hundred objects wait in the operator's queue. Its resident memory is
noted after each hundred; the slope is a regression over what follows the first fifth. What is left behind: bytes of
annotations on the objects, writes at rest (in the API server's audit log), errors and tracebacks in the operator's log.

Exit code 1 if a goal is missed. Needs what `hack/cluster.py up --no-kubelet --kwok` needs: no root.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from operator_rig import NAMESPACE, Finished, Object, Rig, cluster, memory, temporary_folder, writes
from operator_runs import JOBS, OURS, Operator, dataset, is_ready, program, training_run, wait_quiet

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
AGENT = "mlops-operator"
PLURALS = ("datasets", "trainingruns", "modelversions", "driftmonitors")
# The goals: MiB at the peak, MiB per 1,000 updates, bytes, writes per minute and 100 objects, lines of the log.
GOALS = {"peak MiB": 250.0, "MiB per 1,000 updates": 1.0, "annotation bytes": 0, "writes at rest": 1.0, "errors": 0}
_BATCH, _MOST_QUEUED, _THREADS = 100, 100, 4
_DIGEST = "sha256:" + "a" * 64
# Nothing of them falls due while this runs.
_SCHEDULES = ("0 3 1 1 *", "0 4 1 1 *")


# --- the objects ---


def objects(count: int) -> dict[str, list[Object]]:
    """Return the objects by plural: half of them runs, a fifth each Datasets and versions, a tenth monitors."""
    datasets, versions, monitors = count // 5, count // 5, count // 10
    runs = count - datasets - versions - monitors
    return {
        "datasets": [dataset(), *(renamed(dataset(), f"rows-{number:05}") for number in range(datasets - 1))],
        "trainingruns": [training_run(number, 0) for number in range(runs)],
        "modelversions": [version(number) for number in range(versions)],
        "driftmonitors": [monitor(number) for number in range(monitors)],
    }


def renamed(manifest: Object, name: str) -> Object:
    """Return the object by another name."""
    return {**manifest, "metadata": {**manifest["metadata"], "name": name}}


def version(number: int) -> Object:
    """Return a version of one of as many models as a tenth of the versions."""
    model, count = f"model-{number // 10}", number % 10 + 1
    spec = {"modelName": model, "version": count, "artifact": {"digest": _DIGEST}}
    return _ours("ModelVersion", f"{model}-v{count}", spec)


def monitor(number: int) -> Object:
    """Return a monitor of a model, whose checks are not due."""
    checks = [{"name": "inputs", "type": "DataDrift"}]
    spec = {"targetRef": {"modelName": f"model-{number // 5}"}, "schedule": _SCHEDULES[0], "checks": checks}
    rest = {"window": {"duration": "24h"}, "actions": [{"when": ["DataDrift"], "do": "Hold"}]}
    return _ours("DriftMonitor", f"monitor-{number:05}", {**spec, **rest})


def _ours(kind: str, name: str, spec: Object) -> Object:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "mlops.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


# --- the updates ---


@dataclass(frozen=True)
class Update:
    """Requests in order; what they are about may be gone by then."""

    what: str
    requests: tuple[tuple[str, str, Object | None], ...]


class Users:
    """Everybody who changes something: an endless sequence of updates, the same for the same seed and cluster."""

    def __init__(self, made: dict[str, list[Object]], random: Random) -> None:
        self._random, self._number = random, 0
        self._names = {plural: [one["metadata"]["name"] for one in manifests] for plural, manifests in made.items()}
        self._newest = len(made["trainingruns"])
        self.jobs: Sequence[str] = ()
        self.pods: Sequence[str] = ()
        self._kinds: dict[str, tuple[int, Callable[[], Update]]] = {
            "spec": (40, self._edit),
            "run": (10, self._replace_a_run),
            "job": (25, self._change_a_job),
            "pod": (25, self._change_a_pod),
        }

    def updates(self) -> Iterator[Update]:
        """Yield updates."""
        kinds = list(self._kinds.values())
        while True:
            self._number += 1
            (_, make), *_ = self._random.choices(kinds, weights=[weight for weight, _ in kinds])
            yield make()

    def _edit(self) -> Update:
        plural = self._random.choice(PLURALS)
        name, even = self._random.choice(self._names[plural]), bool(self._random.getrandbits(1))
        specs: dict[str, Object] = {
            "datasets": {"refresh": {"schedule": _SCHEDULES[even]}},
            "trainingruns": {"suspend": even},
            "modelversions": {"withdrawn": even},
            "driftmonitors": {"schedule": _SCHEDULES[even]},
        }
        return Update("spec", (("PATCH", f"{OURS}/{plural}/{name}", {"spec": specs[plural]}),))

    def _replace_a_run(self) -> Update:
        names = self._names["trainingruns"]
        place = self._random.randrange(len(names))
        old, new = names[place], training_run(self._newest, 0)
        self._newest += 1
        names[place] = new["metadata"]["name"]
        path = f"{OURS}/trainingruns"
        return Update("run", (("DELETE", f"{path}/{old}", None), ("POST", path, new)))

    def _change_a_job(self) -> Update:
        name = self._random.choice(self.jobs) if self.jobs else "none"
        change = {"metadata": {"annotations": {"bench/number": str(self._number)}}}
        return Update("job", (("PATCH", f"{JOBS}/{name}", change),))

    def _change_a_pod(self) -> Update:
        name = self._random.choice(self.pods) if self.pods else "none"
        return Update("pod", (("PATCH", f"{PODS}/{name}/status", {"status": {"message": f"look {self._number}"}}),))


def carry_out(rig: Rig, update: Update) -> str:
    """Send an update; returns what it was and, if it was not done, the HTTP status."""
    for method, path, body in update.requests:
        status, answer = rig.client.ask(method, path, body)
        if status >= 300 and status not in (404, 409):
            sys.exit(f"{method} {path}: {status} {answer}")
        if status >= 300:
            return f"{update.what} ({status})"
    return update.what


# --- the soak ---


def soak(rig: Rig, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Create the objects, change them, watch the operator, and let it rest."""
    operator, made = Operator(), objects(options.objects)
    with program(operator.command(None), rig, folder) as process:

        def alive() -> bool:
            return process.poll() is None

        operator.wait_ready(alive)
        time.sleep(2)
        figures: dict[str, Any] = {"RSS start": memory(process.pid)[0]}
        patience = 120 + 2.0 * options.objects
        finished = Finished(rig.client, f"{OURS}/trainingruns", is_ready)
        for plural in PLURALS:
            rig.client.create_all(f"{OURS}/{plural}", made[plural])
        finished.wait(len(made["trainingruns"]), patience, alive)
        wait_quiet(rig, [AGENT], patience)
        figures["RSS settled"], before = memory(process.pid)[0], annotations(rig)
        say(f"{options.objects} objects are settled, the operator has {figures['RSS settled']:.1f} MiB")
        figures["updates"], figures["samples"] = change(rig, options, operator, process.pid, made, alive)
        wait_quiet(rig, [AGENT], patience)
        figures["RSS rest"], figures["peak MiB"] = memory(process.pid)
        figures["MiB per 1,000 updates"] = slope(figures["samples"])
        rest = time.time()
        time.sleep(options.rest)
        late = [one for one in writes(rig.audit_log, rest) if one.agent == AGENT and one.what != "leases"]
        figures["writes at rest"] = len(late) / (options.rest / 60) / (options.objects / 100)
        figures["annotation bytes"] = annotations(rig) - before
        lag = operator.counts("mlops_operator_loop_lag_seconds", "clock")
        figures["longest lag"] = {key[0]: round(value, 3) for key, value in lag.items()}
        outcomes = operator.counts("mlops_operator_reconciles_total", "kind", "outcome")
        figures["reconciles"] = {" ".join(key): count for key, count in sorted(outcomes.items())}
        log = (folder / "program.log").read_text("utf-8", "replace")
    figures["errors"] = len(re.findall(r"(?m)^(?:\S+ ERROR |Traceback)", log))
    figures["warnings"] = len(re.findall(r"(?m)^\S+ WARNING ", log))
    return figures


def change(
    rig: Rig,
    options: argparse.Namespace,
    operator: Operator,
    pid: int,
    made: dict[str, list[Object]],
    alive: Callable[[], bool],
) -> tuple[dict[str, int], list[tuple[int, float]]]:
    """Carry the updates out; returns how many of each there were, and memory by the number of updates."""
    users, counts, samples = Users(made, Random(options.seed)), Counter[str](), []
    updates, began = users.updates(), time.monotonic()
    with ThreadPoolExecutor(_THREADS) as threads:
        for done in range(0, options.updates, _BATCH):
            if done % (10 * _BATCH) == 0:
                users.jobs, users.pods = names(rig, JOBS), names(rig, PODS)
            batch = [next(updates) for _ in range(min(_BATCH, options.updates - done))]
            counts.update(threads.map(lambda update: carry_out(rig, update), batch))
            while sum(operator.counts("mlops_operator_queue_depth").values()) > _MOST_QUEUED:
                time.sleep(0.2)
            if not alive():
                sys.exit("the operator has ended")
            samples.append((done + len(batch), memory(pid)[0]))
            if done % (5 * _BATCH) == 0:
                say(f"{samples[-1][0]} updates in {time.monotonic() - began:.0f} s, {samples[-1][1]:.1f} MiB")
    return dict(sorted(counts.items())), samples


def names(rig: Rig, path: str) -> list[str]:
    """Return the names of what is in a collection."""
    return sorted(one["metadata"]["name"] for one in rig.client.request("GET", path)["items"])


def annotations(rig: Rig) -> int:
    """Return how many bytes of annotations there are on the objects of the four kinds."""
    found = (one for plural in PLURALS for one in rig.client.request("GET", f"{OURS}/{plural}")["items"])
    return sum(len(json.dumps(one["metadata"].get("annotations") or {})) - 2 for one in found)


def slope(samples: list[tuple[int, float]]) -> float:
    """Return MiB per 1,000 updates, after the first fifth."""
    warm = samples[len(samples) // 5 :]
    if len(warm) < 2:
        return 0.0
    return 1000 * statistics.linear_regression([float(count) for count, _ in warm], [size for _, size in warm]).slope


def say(text: str) -> None:
    """Print a line of progress at once."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def show(figures: dict[str, Any]) -> bool:
    """Print what was found; returns whether every goal is met."""
    for name in ("RSS start", "RSS settled", "RSS rest"):
        print(f"{name + ', MiB':28}{figures[name]:12.1f}")
    for name, goal in GOALS.items():
        print(f"{name:28}{figures[name]:12.2f}   goal at most {goal:g}{'' if figures[name] <= goal else '   MISSED'}")
    for name in ("warnings", "updates", "reconciles", "longest lag"):
        print(f"{name:28}{figures[name]}")
    return all(figures[name] <= goal for name, goal in GOALS.items())


def main() -> None:
    """Parse the command line, soak, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=1000, help="at least 10")
    parser.add_argument("--updates", type=int, default=10_000)
    parser.add_argument("--rest", type=float, default=60, help="seconds to watch the operator rest")
    parser.add_argument("--seed", type=int, default=1, help="of the updates")
    parser.add_argument("--json", help="write every measurement to this file")
    parser.add_argument("--folder", default=None, help="where files are made; by default the folder for temporary ones")
    options = parser.parse_args()
    if options.objects < 10:
        parser.error("--objects: at least 10, so that there are some of each kind")
    # However it is asked to stop, the cluster goes first.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit("stopped"))
    load = os.getloadavg()[0]
    with temporary_folder(options.folder) as folder, cluster(folder) as rig:
        figures = soak(rig, options, folder) | {"load before": load}
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1))
    sys.exit(0 if show(figures) else 1)


if __name__ == "__main__":
    main()
