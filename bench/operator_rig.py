"""The cluster that the operator is measured on, and what is read off it: a client, process figures, the audit log."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import urllib3
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from hack.cluster import processes  # noqa: E402
from hack.cluster.layout import located, places  # noqa: E402
from hack.cluster.start import STAGES  # noqa: E402
from mlops.api import tasks  # noqa: E402

Object = dict[str, Any]

NAME = "bench"
NAMESPACE = "default"
FAKE_NODES = 10
CONNECTIONS = 8
ENVIRONMENT = "sha256:" + "e" * 64
_TICKS = os.sysconf("SC_CLK_TCK")
_READS = ("get", "list", "watch")


# --- the cluster ---


class Client:
    """Requests to the API server of a kubeconfig of hack/cluster, from any thread."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        config = json.loads(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.url = cluster["server"]
        files = {}
        for name, text in (
            ("ca", cluster["certificate-authority-data"]),
            ("certificate", user["client-certificate-data"]),
            ("key", user["client-key-data"]),
        ):
            files[name] = folder / f"{name}.pem"
            files[name].write_bytes(base64.b64decode(text))
        self._pool = urllib3.PoolManager(
            ca_certs=str(files["ca"]),
            cert_file=str(files["certificate"]),
            key_file=str(files["key"]),
            maxsize=CONNECTIONS + 4,
            retries=False,
        )

    def request(self, method: str, path: str, body: Object | None = None) -> Object:
        """Return the answer; raises RuntimeError with the API server's words if it is no success."""
        status, answer = self.ask(method, path, body)
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {answer}")
        return answer

    def ask(self, method: str, path: str, body: Object | None = None) -> tuple[int, Object]:
        """Return HTTP status and answer. A PATCH is a merge patch."""
        text = None if body is None else json.dumps(body).encode()
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"User-Agent": "bench", "Content-Type": kind}
        response = self._pool.request(method, self.url + path, body=text, headers=headers, timeout=60)
        # What is not served yet is answered in plain text.
        is_json = response.headers.get("Content-Type", "").startswith("application/json")
        return response.status, dict(json.loads(response.data)) if is_json else {"message": response.data.decode()}

    def create_all(self, path: str, manifests: Iterable[Object]) -> None:
        """POST them over several connections, as fast as they are taken."""
        with ThreadPoolExecutor(CONNECTIONS) as threads:
            list(threads.map(lambda manifest: self.request("POST", path, manifest), manifests))

    def lines(self, path: str) -> Iterator[Object]:
        """Yield the events of a watch until the server ends it."""
        patience = urllib3.Timeout(connect=10, read=None)
        agent = {"User-Agent": "bench"}
        response = self._pool.request("GET", self.url + path, headers=agent, preload_content=False, timeout=patience)
        rest = b""
        with suppress(urllib3.exceptions.ProtocolError):
            for block in response.stream(1 << 16, decode_content=False):
                *whole, rest = (rest + block).split(b"\n")
                yield from (json.loads(line) for line in whole if line)


class Finished:
    """Counts the objects of a collection that are `done`, by a watch in a thread, as `kubectl wait` would."""

    def __init__(self, client: Client, path: str, done: Callable[[Object], bool]) -> None:
        self._names: set[str] = set()
        self._client, self._path, self._done = client, path, done
        version = client.request("GET", f"{path}?limit=1")["metadata"]["resourceVersion"]
        threading.Thread(target=self._watch, args=(version,), daemon=True).start()

    def _watch(self, version: str) -> None:
        # The API server ends a watch that is slower than the changes. When the cluster is gone, so is the thread.
        with suppress(urllib3.exceptions.HTTPError):
            while True:
                for event in self._client.lines(f"{self._path}?watch=1&resourceVersion={version}"):
                    self._see(event["object"])
                listed = self._client.request("GET", self._path)
                version = listed["metadata"]["resourceVersion"]
                for one in listed["items"]:
                    self._see(one)

    def _see(self, one: Object) -> None:
        if "metadata" in one and "name" in one["metadata"] and self._done(one):
            self._names.add(one["metadata"]["name"])

    def wait(self, count: int, seconds: float, alive: Callable[[], bool] = lambda: True) -> None:
        """Return when so many are done. Raises SystemExit when that takes longer, or whoever does it has ended."""
        until = time.monotonic() + seconds
        while len(self._names) < count:
            if time.monotonic() > until or not alive():
                items = self._client.request("GET", self._path)["items"]
                left = [one for one in items if one["metadata"]["name"] not in self._names]
                why = f"within {seconds:.0f} s" if alive() else "when the operator ended"
                shown = json.dumps(left[0].get("status"))[:2000] if left else ""
                sys.exit(f"{len(self._names)} of {count} at {self._path} were finished {why}: {shown}")
            time.sleep(0.02)


@dataclass
class Rig:
    """A running cluster: API server, controllers, scheduler, and kwok in place of nodes."""

    client: Client
    kubeconfig: Path
    audit_log: Path
    # By name of the component.
    pids: dict[str, int]


@contextmanager
def cluster(folder: Path) -> Iterator[Rig]:
    """A fresh cluster with our CustomResourceDefinitions; it is gone afterwards, whatever happens."""
    stages = folder / "stages.yaml"
    stages.write_text(stages_with_reports(STAGES.read_text("utf-8")))
    where = places(NAME, root=os.geteuid() == 0)
    if located(where).description.exists():
        sys.exit(f"there is a cluster {NAME} already: python hack/cluster.py down --name {NAME}")
    up = ["up", "--name", NAME, "--no-kubelet", "--kwok", str(FAKE_NODES), "--kwok-stages", str(stages), "--audit-log"]
    try:
        run_cluster_tool(*up)
        where = located(where)
        pids = {name: process.pid for name, process in processes.recorded(where).items()}
        client = Client(where.kubeconfig, folder)
        for path in sorted((ROOT / "crds").glob("*.yaml")):
            define(client, yaml.safe_load(path.read_text("utf-8")))
        yield Rig(client, where.kubeconfig, where.audit_log, pids)
    finally:
        run_cluster_tool("down", "--name", NAME)


def run_cluster_tool(*arguments: str) -> None:
    """Run hack/cluster.py; raises SystemExit with what it said."""
    command = [sys.executable, str(ROOT / "hack" / "cluster.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr}")


def define(client: Client, definition: Object) -> None:
    """Create a CustomResourceDefinition and wait until it is served."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    client.request("POST", path, definition)
    spec = definition["spec"]
    served = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
    for _ in range(300):
        try:
            client.request("GET", f"{served}?limit=1")
        except RuntimeError:
            time.sleep(0.1)
        else:
            return
    sys.exit(f"{served} is not served")


# --- what the pods report, since nothing runs in them ---


def stages_with_reports(stages: str) -> str:
    """Return kwok's stages with a termination message in each finished pod: the report that its task would leave."""
    documents = list(yaml.safe_load_all(stages))
    complete = next(one for one in documents if one["metadata"]["name"] == "pod-complete")
    template = complete["spec"]["next"]["statusTemplate"]
    message = r"\g<0>\n\1message: {{ $message | Quote }}"
    template, count = re.subn(r"^( *)reason: Completed$", message, template, flags=re.MULTILINE)
    if count != 1:
        sys.exit(f"{STAGES}: the stage pod-complete has changed")
    complete["spec"]["next"]["statusTemplate"] = _MESSAGE + template
    return yaml.safe_dump_all(documents)


def _template(report: tasks.Report) -> str:
    """Return an expression for the report in which the digests `_OWN` are the pod's own, so that no two are alike."""
    return f'replace "{"d" * 64}" (repeat 4 $digest) `{tasks.write_report(report)}`'


_OWN = "sha256:" + "d" * 64
_METRICS = ("accuracy", "balanced_accuracy", "f1", "log_loss", "precision", "recall", "roc_auc")
_TRAINED = tasks.TrainReport.model_validate(
    {
        "outputDigest": _OWN,
        "predictionDigest": _OWN,
        "environmentDigest": ENVIRONMENT,
        "format": "onnx",
        "metrics": [{"name": name, "dataset": "test", "value": "0.9123"} for name in _METRICS],
        "files": {f"{name}.json": _OWN for name in ("golden", "profile", "provenance", "signature")},
    }
)
_INGESTED = tasks.IngestReport.model_validate(
    {
        "digest": "sha256:" + "1" * 64,
        "artifact": "sha256:" + "2" * 64,
        "schemaDigest": "sha256:" + "3" * 64,
        "rows": 1000,
        "bytes": 100_000,
        "splits": {"train": 600, "validation": 200, "test": 200},
        "validation": {"passed": 3, "failed": 0},
        "asOf": "2026-01-01T00:00:00Z",
    }
)
_VERIFIED = tasks.VerifyReport.model_validate(
    {"format": "onnx", "goldenRows": 64, "maxDifference": "0.0000001", "p99Milliseconds": "0.4"}
)
_MESSAGE = f"""\
{{{{ $labels := or .metadata.labels dict }}}}
{{{{ $component := or (index $labels "app.kubernetes.io/component") "" }}}}
{{{{ $digest := or (index $labels "mlops.dev/digest") "0000000000000000" }}}}
{{{{ $message := "" }}}}
{{{{ if eq $component "train" }}}}{{{{ $message = {_template(_TRAINED)} }}}}{{{{ end }}}}
{{{{ if eq $component "ingest" }}}}{{{{ $message = {_template(_INGESTED)} }}}}{{{{ end }}}}
{{{{ if eq $component "verify" }}}}{{{{ $message = {_template(_VERIFIED)} }}}}{{{{ end }}}}
"""


# --- processes ---


def cpu_seconds(pid: int) -> float:
    """Return what a process has used, its own and the system's for it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def machine_seconds() -> float:
    """Return what the whole machine has used, all cores."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    return (sum(fields[:3]) + sum(fields[5:8])) / _TICKS


def memory(pid: int) -> tuple[float, float]:
    """Return resident MiB now, and at the most so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    values = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return int(values["VmRSS"]) / 1024, int(values["VmHWM"]) / 1024


class Usage:
    """CPU seconds of each process since this was made, and of everybody else on the machine."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = {**pids, "bench": os.getpid()}
        self._began, self._machine = time.monotonic(), machine_seconds()
        self._before = {name: cpu_seconds(pid) for name, pid in self._pids.items()}

    def read(self) -> dict[str, float]:
        """Return seconds by name; `others` is in cores."""
        used = {name: cpu_seconds(pid) - self._before[name] for name, pid in self._pids.items()}
        others = machine_seconds() - self._machine - sum(used.values())
        return used | {"others": max(0.0, others) / (time.monotonic() - self._began)}


# --- the audit log ---


@dataclass(frozen=True)
class Write:
    """One request that changes something: by whom, what was asked, of which object, when it was answered and how."""

    agent: str
    verb: str
    what: str
    name: str
    code: int
    time: float


def writes(audit_log: Path, after: float = 0.0) -> list[Write]:
    """Return every write, also those that were refused; `after` is a timestamp since 1970."""
    found = []
    with audit_log.open("rb") as lines:
        for line in lines:
            entry = json.loads(line)
            if entry["verb"] in _READS or entry["stage"] != "ResponseComplete" or "objectRef" not in entry:
                continue
            about = entry["objectRef"]
            answered = datetime.fromisoformat(entry["stageTimestamp"]).timestamp()
            if answered >= after:
                what = "/".join(filter(None, (about.get("resource"), about.get("subresource"))))
                agent = entry.get("userAgent", "").split("/")[0]
                code = entry.get("responseStatus", {}).get("code", 0)
                found.append(Write(agent, entry["verb"], what, about.get("name", ""), code, answered))
    return found


def most_per_object(found: Iterable[Write], what: str) -> int:
    """Return how many writes of a kind the object with the most of them got."""
    return max(Counter(write.name for write in found if write.what == what).values(), default=0)


@contextmanager
def temporary_folder(chosen: str | None) -> Iterator[Path]:
    """A folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(dir=chosen) as name:
        yield Path(name)
