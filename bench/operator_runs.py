"""The operator on many TrainingRuns, against plain Jobs without one, on a real API server with fake nodes.

    python bench/operator_runs.py                             300 objects, 3 repetitions
    python bench/operator_runs.py --runs 1000 --repetitions 1
    python bench/operator_runs.py --runs 20 --repetitions 1 --rest 5    does it work?

Contestants, each on a fresh cluster (etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok), in turn:

    jobs        the Jobs that the operator would make, created by a client: no operator, no custom resource
    kopf        what a user would write instead: a kopf handler that makes a Job per object and notes its end
    runs        TrainingRuns of one Dataset, each with a seed of its own
    registered  the same, and each registers a version of one of some models, which is then verified and served

All objects are created at once over 8 connections. Pods are kwok's: they run and finish at once, with the report of a
finished workload as termination message. Wall time is from the first request until the last object was seen finished
by a watch: a Job that is Complete, a TrainingRun that is Ready. Requests are counted in the API server's audit log;
memory and CPU are read from /proc; CPU counts until nothing has been written for some seconds (in `registered`, until
all versions were verified and rolled out). Needs what `hack/cluster.py up --no-kubelet --kwok` needs: no root.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from operator_kopf import DEFINITION, GROUP, PLURAL, VERSION
from operator_rig import (
    ENVIRONMENT,
    NAMESPACE,
    ROOT,
    Finished,
    Object,
    Rig,
    Usage,
    Write,
    cluster,
    define,
    memory,
    most_per_object,
    temporary_folder,
    writes,
)
from prometheus_client.parser import text_string_to_metric_families

from mlops.api.kinds import parse
from mlops.api.training_run import Resolved, TrainingRun
from mlops.planning.plan import Settings
from mlops.planning.training.manifests import inputs_digest, training_job

OURS = f"/apis/mlops.dev/v1alpha1/namespaces/{NAMESPACE}"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
KOPF = f"/apis/{GROUP}/{VERSION}/namespaces/{NAMESPACE}/{PLURAL}"
QUIET_SECONDS = 3.0
# The operator under a profiler. It ends by os._exit, since it waits for no thread, and so without the profiler.
PROFILED = """
import cProfile, os, sys
from mlops.cluster.main import main
profile, path, leave = cProfile.Profile(), sys.argv.pop(1), os._exit
def end(code):
    profile.disable()
    profile.dump_stats(path)
    leave(code)
os._exit = end
profile.enable()
main()
"""
Figures = dict[str, Any]


# --- the objects ---


def dataset() -> Object:
    """Return the Dataset of all runs."""
    fields = [{"name": "x", "type": "float64"}, {"name": "y", "type": "string", "role": "label", "enum": ["a", "b"]}]
    return {
        "apiVersion": "mlops.dev/v1alpha1",
        "kind": "Dataset",
        "metadata": {"name": "rows", "namespace": NAMESPACE},
        "spec": {"source": {"s3": {"uri": "s3://raw/rows/"}}, "format": "parquet", "fields": fields},
    }


def training_run(number: int, models: int) -> Object:
    """Return a run with inputs of its own, so that none takes over another's result."""
    spec: Object = {
        "datasetRef": {"name": "rows"},
        "trainer": {"estimator": {"name": "LogisticRegression", "params": {"C": "1.0"}}},
        "reproducibility": {"seed": number},
        "gates": [{"metric": "roc_auc", "min": "0.6"}],
    }
    if models:
        spec["register"] = {"modelName": f"model-{number % models}"}
    return {
        "apiVersion": "mlops.dev/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {"name": f"run-{number:05}", "namespace": NAMESPACE},
        "spec": spec,
    }


def job(number: int) -> Object:
    """Return the Job of a run, as the operator makes it, without an owner."""
    run = parse({**training_run(number, 0), "status": {}})
    if not isinstance(run, TrainingRun):
        raise TypeError(f"not a TrainingRun: {run!r}")
    digest = "sha256:" + "1" * 64
    resolved = Resolved(
        dataset_version=1, dataset_digest=digest, dataset_artifact=digest, environment_digest=ENVIRONMENT
    )
    inputs = inputs_digest(run.spec, digest, ENVIRONMENT)
    made = training_job(Settings(environment_digest=ENVIRONMENT), run, resolved, inputs, 0, verifying=False)
    del made["metadata"]["ownerReferences"]
    return made


def is_complete(manifest: Object) -> bool:
    """Return whether a Job has succeeded."""
    return _says(manifest, "Complete")


def is_ready(manifest: Object) -> bool:
    """Return whether an object of ours has got where its spec wants it."""
    return _says(manifest, "Ready")


def _says(manifest: Object, type_: str) -> bool:
    conditions = manifest.get("status", {}).get("conditions") or ()
    return any(one["type"] == type_ and one["status"] == "True" for one in conditions)


# --- the programs ---


@contextmanager
def program(command: list[str], rig: Rig, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program on the cluster; it is told to stop in the end, and its log shown if it ended before."""
    path = folder / "program.log"
    with path.open("wb") as log:
        environ = {**os.environ, "KUBECONFIG": str(rig.kubeconfig)}
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
    try:
        yield process
    finally:
        ended = process.poll()
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if ended is not None:
            print(f"it ended with {ended}:\n{path.read_text('utf-8', 'replace')[-3000:]}", file=sys.stderr)


class Operator:
    """The operator's own figures."""

    def __init__(self) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{listener.getsockname()[1]}"

    def command(self, profile: str | None) -> list[str]:
        """Return how it is started; with a profile, its main thread's calls are written there at the end."""
        program = ["-c", PROFILED, profile] if profile else ["-m", "mlops.cluster"]
        options = ["--image", "mlops-workloads:bench", "--environment-digest", ENVIRONMENT, "--listen", self.address]
        return [sys.executable, *program, *options, "--log-level", "warning"]

    def wait_ready(self, alive: Callable[[], bool]) -> None:
        """Return once its caches are filled."""
        until = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://{self.address}/readyz", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                if time.monotonic() > until or not alive():
                    sys.exit("the operator does not become ready")
                time.sleep(0.1)

    def counts(self, name: str, *by: str) -> dict[tuple[str, ...], float]:
        """Return the samples of one of its metrics."""
        with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        found = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name:
                    found[tuple(sample.labels[label] for label in by)] = sample.value
        return found


# --- the contestants ---


def plain_jobs(rig: Rig, options: argparse.Namespace, folder: Path) -> Figures:
    """Create the Jobs and wait for them."""
    manifests = [job(number) for number in range(options.runs)]
    finished = Finished(rig.client, JOBS, is_complete)
    return race(rig, options, JOBS, manifests, finished, None, ["bench"])


def plain_kopf(rig: Rig, options: argparse.Namespace, folder: Path) -> Figures:
    """Create objects that a kopf handler makes Jobs for."""
    define(rig.client, DEFINITION)
    (folder / "job.json").write_text(json.dumps(job(0)))
    command = [sys.executable, str(ROOT / "bench" / "operator_kopf.py"), str(folder / "job.json")]
    manifests = [
        {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Run", "metadata": {"name": f"run-{number:05}"}, "spec": {}}
        for number in range(options.runs)
    ]
    with program(command, rig, folder) as process:
        time.sleep(5)
        finished = Finished(rig.client, KOPF, lambda one: one.get("status", {}).get("phase") == "Succeeded")
        # kopf itself and the client in its handlers.
        return race(rig, options, KOPF, manifests, finished, process, ["kopf", "OpenAPI-Generator", "Python"])


def our_runs(rig: Rig, options: argparse.Namespace, folder: Path, models: int = 0) -> Figures:
    """Create TrainingRuns, once their Dataset has a version."""
    manifests = [training_run(number, models) for number in range(options.runs)]
    operator = Operator()
    with program(operator.command(options.profile), rig, folder) as process:
        operator.wait_ready(lambda: process.poll() is None)
        ready = Finished(rig.client, f"{OURS}/datasets", is_ready)
        rig.client.request("POST", f"{OURS}/datasets", dataset())
        ready.wait(1, 60, lambda: process.poll() is None)
        before = operator.counts("mlops_operator_reconciles_total", "kind", "outcome")
        finished = Finished(rig.client, f"{OURS}/trainingruns", is_ready)
        figures = race(rig, options, f"{OURS}/trainingruns", manifests, finished, process, ["mlops-operator"])
        reconciles = Counter(operator.counts("mlops_operator_reconciles_total", "kind", "outcome"))
        reconciles.subtract(before)
        figures["reconciles"] = {" ".join(key): count for key, count in sorted(reconciles.items()) if count}
        seconds = operator.counts("mlops_operator_reconcile_seconds_sum", "kind")
        lag = operator.counts("mlops_operator_loop_lag_seconds", "clock")
        figures["longest lag"] = {key[0]: round(value, 3) for key, value in lag.items()}
        lost = operator.counts("mlops_operator_events_lost_total", "why")
        figures["Events lost"] = {key[0]: value for key, value in lost.items() if value}
        figures["reconcile seconds"] = {key[0]: round(value, 2) for key, value in sorted(seconds.items())}
        return figures


def registered_runs(rig: Rig, options: argparse.Namespace, folder: Path) -> Figures:
    """The same with a model for each run."""
    return our_runs(rig, options, folder, options.models)


CONTESTANTS: dict[str, Callable[[Rig, argparse.Namespace, Path], Figures]] = {
    "jobs": plain_jobs,
    "kopf": plain_kopf,
    "runs": our_runs,
    "registered": registered_runs,
}


def race(
    rig: Rig,
    options: argparse.Namespace,
    path: str,
    manifests: list[Object],
    finished: Finished,
    process: subprocess.Popen[bytes] | None,
    agents: list[str],
) -> Figures:
    """Create everything at once, wait until all is finished and quiet, then watch it rest."""
    figures: Figures = {}
    pids = rig.pids | ({"operator": process.pid} if process else {})
    if process:
        time.sleep(2)
        figures["RSS start"], _ = memory(process.pid)
    usage, wall, began = Usage(pids), time.time(), time.monotonic()
    rig.client.create_all(path, manifests)
    figures["created"] = time.monotonic() - began
    finished.wait(len(manifests), 60 + options.runs * 1.0, lambda: process is None or process.poll() is None)
    figures["wall"] = time.monotonic() - began
    settled = wait_quiet(rig, agents, 60 + options.runs * 1.0)
    figures["settled"] = settled - wall
    figures["CPU"] = usage.read()
    made = [write for write in writes(rig.audit_log, wall) if write.agent in agents and write.what != "leases"]
    figures["writes"] = counted(made)
    figures["most status writes"] = most_per_object(
        [write for write in made if write.code < 300],
        "trainingruns/status" if path.startswith(OURS) else f"{PLURAL}/status",
    )
    if process:
        rest = time.time()
        resting = Usage({"operator": process.pid})
        time.sleep(options.rest)
        figures["RSS rest"], figures["RSS peak"] = memory(process.pid)
        figures["CPU at rest"] = resting.read()["operator"] / options.rest
        late = [write for write in writes(rig.audit_log, rest) if write.agent in agents and write.what != "leases"]
        figures["writes at rest"] = counted(late)
    return figures


def wait_quiet(rig: Rig, agents: list[str], seconds: float) -> float:
    """Wait until nobody but the lease holders writes any more; returns the timestamp of the last write."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(QUIET_SECONDS)
        # Pods of kwok and the Job controller belong to it: the operator may have to answer to them.
        last = max(write.time for write in writes(rig.audit_log) if write.what not in ("leases", "nodes/status"))
        if time.time() - last > QUIET_SECONDS:
            return last
    sys.exit(f"somebody still writes after {seconds:.0f} s: see {rig.audit_log}")


def counted(made: list[Write]) -> dict[str, int]:
    """Return the number of writes by verb, resource and, if it was refused, the HTTP status."""
    names = Counter(f"{write.verb} {write.what}" + (f" ({write.code})" if write.code >= 300 else "") for write in made)
    return dict(sorted(names.items()))


# --- the table ---


def show(found: dict[str, list[Figures]], runs: int) -> None:
    """Print medians over the repetitions, and every repetition's wall time."""
    print(f"\n{runs} objects, medians of {max(len(one) for one in found.values())} repetitions")
    heads = ("wall s", "min", "max", "x jobs", "settled s", "others' cores")
    print(f"{'':12}" + "".join(f"{head:>14}" for head in heads))
    base = statistics.median(one["wall"] for one in found["jobs"]) if "jobs" in found else float("nan")
    for name, rounds in found.items():
        walls = [one["wall"] for one in rounds]
        middle = statistics.median(walls)
        rest = f"{_middle(rounds, 'settled'):14.1f}{statistics.median(one['CPU']['others'] for one in rounds):14.2f}"
        print(f"{name:12}{middle:14.2f}{min(walls):14.2f}{max(walls):14.2f}{middle / base:14.2f}{rest}")
    parts = ["operator", "kube-apiserver", "etcd", "kube-controller-manager", "kube-scheduler", "kwok", "bench"]
    print("\nCPU, ms per object\n" + f"{'':12}" + "".join(f"{part.removeprefix('kube-'):>20}" for part in parts))
    for name, rounds in found.items():
        cells = (statistics.median(one["CPU"].get(part, 0.0) for one in rounds) for part in parts)
        print(f"{name:12}" + "".join(f"{1000 * cell / runs:20.2f}" for cell in cells))
    heads = ("RSS start", "RSS peak", "RSS rest", "CPU at rest %", "status/run <=", "writes at rest")
    print("\nMiB of the operator\n" + f"{'':12}" + "".join(f"{head:>15}" for head in heads))
    for name, rounds in found.items():
        if "RSS rest" in rounds[0]:
            sizes = "".join(f"{_middle(rounds, head):15.1f}" for head in heads[:3])
            rest = f"{100 * _middle(rounds, 'CPU at rest'):15.2f}"
            most = f"{max(one['most status writes'] for one in rounds):15}"
            late = sum(sum(one["writes at rest"].values()) for one in rounds)
            print(f"{name:12}{sizes}{rest}{most}{late:15}")
    for name, rounds in found.items():
        for what in ("writes", "reconciles"):
            if what in rounds[0]:
                keys = sorted({key for one in rounds for key in one[what]})
                cells = {key: statistics.median(one[what].get(key, 0) for one in rounds) / runs for key in keys}
                print(f"\n{name}: {what} per object, {sum(cells.values()):.3f} in all")
                print("\n".join(f"    {key:44}{cell:8.3f}" for key, cell in cells.items()))
        if "reconcile seconds" in rounds[0]:
            print(f"    seconds in reconciles: {rounds[0]['reconcile seconds']}")
            print(f"    longest stretch of the loop, s: {[one['longest lag'] for one in rounds]}")
            print(f"    Events lost: {[one['Events lost'] for one in rounds]}")


def _middle(rounds: list[Figures], name: str) -> float:
    return statistics.median(one[name] for one in rounds)


def main() -> None:
    """Parse the command line and let the contestants take turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300, help="objects per contestant")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--models", type=int, default=20, help="how many models the registered runs share")
    parser.add_argument("--rest", type=float, default=60, help="seconds to watch the operator rest")
    parser.add_argument("--only", nargs="+", choices=list(CONTESTANTS), help="run these only")
    parser.add_argument("--profile", help="write a cProfile of the operator's main thread here: its figures are slower")
    parser.add_argument("--json", help="write every measurement to this file")
    parser.add_argument("--folder", default=None, help="where files are made; by default the folder for temporary ones")
    options = parser.parse_args()
    # However it is asked to stop, the cluster goes first.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit("stopped"))
    names = options.only or list(CONTESTANTS)
    found: dict[str, list[Figures]] = {name: [] for name in names}
    for repetition in range(options.repetitions):
        shift = repetition % len(names)
        for name in names[shift:] + names[:shift]:
            load = os.getloadavg()[0]
            with temporary_folder(options.folder) as folder, cluster(folder) as rig:
                figures = CONTESTANTS[name](rig, options, folder)
            found[name].append(figures | {"load before": load})
            others = figures["CPU"]["others"]
            print(f"{repetition + 1} {name:12} {figures['wall']:7.2f} s, others use {others:.2f} cores", flush=True)
            if options.json:
                Path(options.json).write_text(json.dumps(found, indent=1))
    show(found, options.runs)


if __name__ == "__main__":
    main()
