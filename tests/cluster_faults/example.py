"""A small example with every kind in it, and the state of a namespace in terms that two runs can be compared by."""

from __future__ import annotations

import json
import re
from typing import Any

from mlops.cluster.kinds import WATCHED
from tests.engine.objects import a_dataset, a_monitor, a_run
from tests.servers.apiserver import ApiServer

Object = dict[str, Any]


def in_namespace(manifest: Object, namespace: str) -> Object:
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}


def example(namespace: str) -> list[Object]:
    """A Dataset, a run that registers a model, and a monitor of that model."""
    objects = [
        a_dataset(),
        a_run(register={"modelName": "rain"}),
        a_monitor(actions=[{"when": ["DataDrift"], "do": "Hold"}]),
    ]
    del objects[-1]["spec"]["trainingRunRef"]
    return [in_namespace(each, namespace) for each in objects]


def objects_of(server: ApiServer, namespace: str) -> dict[tuple[str, str], Object]:
    """Every object of the watched kinds, by kind and name."""
    found = {}
    for kind, served in WATCHED.items():
        status, answer = server.list(served.api_version, kind, namespace)
        assert status == 200, answer
        for item in answer["items"]:
            found[kind, item["metadata"]["name"]] = {"apiVersion": served.api_version, "kind": kind, **item}
    return found


def condition(manifest: Object, type_: str) -> tuple[str, str]:
    """A condition's status and reason; empty strings if there is none."""
    conditions = manifest.get("status", {}).get("conditions") or ()
    return next(((each["status"], each["reason"]) for each in conditions if each["type"] == type_), ("", ""))


def settled(objects: dict[tuple[str, str], Object]) -> bool:
    """Whether the example is done: the version serves, and the monitor has had its check."""
    monitor, version = objects.get(("DriftMonitor", "watch")), objects.get(("ModelVersion", "rain-v1"))
    return bool(
        monitor
        and version
        and condition(version, "Ready")[0] == "True"
        and monitor["status"].get("history")
        and condition(monitor, "Ready")[0] == "True"
    )


def comparable(objects: dict[tuple[str, str], Object], namespace: str) -> list[str]:
    """The objects without what differs from run to run: uids, times, versions, and the names that are made of them."""
    names = {item["metadata"]["uid"]: f"<{kind} {name}>" for (kind, name), item in objects.items()}
    return sorted(_text(item, names, namespace) for item in objects.values())


def _text(item: Object, names: dict[str, str], namespace: str) -> str:
    dropped = ("uid", "resourceVersion", "managedFields", "creationTimestamp", "generation")
    metadata = {name: value for name, value in item["metadata"].items() if name not in dropped}
    text = json.dumps({**item, "metadata": metadata}, sort_keys=True, indent=1)
    for uid, name in names.items():
        text = text.replace(uid, name)
    text = text.replace(namespace, "<namespace>")
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>", text)
    text = re.sub(
        r'("(clusterIPs?|controller-uid|batch.kubernetes.io/controller-uid)": )("[^"]*"|\[[^]]*\])', r"\1-", text
    )
    # The record of a model is chained by hashes of uids and times.
    text = re.sub(r'(\\?"(?:hash|previous)\\?": ?\\?"sha256:)[0-9a-f]{64}', r"\1<hash>", text)
    # A Job's name has a digest of its owner's uid as its last part; what is applied is marked with a digest.
    text = re.sub(r"\b([a-z0-9-]+)-[0-9a-f]{8,10}(-pod)?\b", r"\1-<digest>\2", text)
    return re.sub(r'("mlops.dev/applied\\?": \\?")[0-9a-f]{16}', r"\1<digest>", text)
