"""What was to be seen of each object of a scenario, one after the other: without times, and without repetitions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mlops.engine.cluster import key_of, labels_of, owners_of
from mlops.planning.plan import Manifest
from tests.simulation.fidelity.deeds import SCENARIO
from tests.simulation.fidelity.views import GONE, plain, view

KINDS = ("Service", "CronJob", "Job", "Deployment", "Pod")
Sequences = dict[str, list[str]]


@dataclass(frozen=True)
class Event:
    """A change of an object, as a watch tells of it."""

    type: str
    manifest: Manifest

    @property
    def version(self) -> int:
        """Its place among all changes of the cluster."""
        return int(self.manifest["metadata"]["resourceVersion"])


def sequences(events: Iterable[Event], scenario: str) -> Sequences:
    """Return what was seen of each object of a scenario. A Job's end is told with its pods as they were then,
    without those that are going: which of the two is over first is chance."""
    found: Sequences = {}
    names: dict[str, str] = {}
    pods: dict[str, tuple[str, str]] = {}
    for event in sorted(events, key=lambda event: event.version):
        manifest = event.manifest
        if labels_of(manifest).get(SCENARIO) != scenario:
            continue
        uid, kind = manifest["metadata"]["uid"], manifest["kind"]
        name = names.setdefault(uid, _name(manifest, names))
        seen = GONE if event.type == "DELETED" else view(manifest)
        if kind == "Pod":
            pods[name] = (owners_of(manifest)[0]["uid"] if owners_of(manifest) else "", seen)
        ended = any(f"{end}=True" in seen for end in ("Complete", "Failed"))
        if kind == "Job" and ended:
            own = [state for owner, state in pods.values() if owner == uid]
            seen += f" [{'; '.join(state for state in own if state != GONE and '; going' not in state)}]"
            if any(seen.split(" [")[0] == each.split(" [")[0] for each in found.get(name, ())):
                continue  # the pods as they were at the end, not as they changed since
        states = found.setdefault(name, [])
        if not states or states[-1] != seen:
            states.append(seen)
    return dict(sorted(found.items()))


def _name(manifest: Manifest, names: dict[str, str]) -> str:
    key = key_of(manifest)
    if key.kind == "Service":
        return f"Service {key.name}"
    count = sum(name.startswith(f"{key.kind} ") for name in names.values())
    return f"{key.kind} {count + 1}" + (f": {plain(key.name)}" if key.kind != "Pod" else "")
