"""The end of `mlops run`: which versions there were, what the monitors found, and where everything lies."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from mlops.api.condition_types import ConditionType
from mlops.cli.progress import ready, short_kind, stalled
from mlops.cli.tables import aligned, printable
from mlops.planning.plan import Manifest
from mlops.store.artifacts import Store
from mlops.store.errors import StoreError


def of_kind(objects: Iterable[Manifest], kind: str) -> list[Manifest]:
    """Return the objects of a kind, oldest first."""
    return [manifest for manifest in objects if manifest["kind"] == kind]


def summary(objects: list[Manifest], troubles: list[Manifest]) -> str:
    """Return the summary as text: versions, verdicts over time, what is not ready and why."""
    parts = ["\n".join(part) for part in (list(_versions(objects)), list(_verdicts(objects))) if part]
    others = [manifest for manifest in objects if ready(manifest)[0] != "True" and manifest not in troubles]
    if troubles:
        parts.append("Not ready:\n" + "\n".join(map(_why, troubles)))
    refused = [manifest for manifest in others if ready(manifest)[1] == "GatesFailed"]
    others = [manifest for manifest in others if manifest not in refused]
    if refused:
        parts.append("Refused by their gates:\n" + "\n".join(map(_why, refused)))
    if others:
        parts.append("Not ready, and not what this run was for:\n" + "\n".join(map(_why, others)))
    if notes := list(_notes(objects)):
        parts.append("To know:\n" + "\n".join(notes))
    return "\n\n".join(parts)


def _notes(objects: list[Manifest]) -> Iterator[str]:
    """What trainings did with the data that nobody asked for, and which canaries are not over."""
    for run in of_kind(objects, "TrainingRun"):
        for note in run.get("status", {}).get("notes") or ():
            yield printable(f"  TrainingRun {run['metadata']['name']}: {note}")
    for version in of_kind(objects, "ModelVersion"):
        if is_tried(version):
            name = version["metadata"]["name"]
            yield f"  ModelVersion {name}: its canary goes on with the next mlops run; --keep-serving waits for it"


def is_tried(version: Manifest) -> bool:
    """Return whether a version has a canary that goes on."""
    conditions = version.get("status", {}).get("conditions") or ()
    return any(each["type"] == ConditionType.CANARY_HEALTHY and each["status"] != "False" for each in conditions)


def troubles(objects: list[Manifest], applied: Iterable[tuple[str, str, str]]) -> list[Manifest]:
    """Return what keeps the `applied` (kind, namespace, name) from being done.

    That is what the user applied and is not ready or stalled, and, for a template that has no model ready, the runs and
    versions that should have brought one. A challenger that a gate refused is the loop at work: the model is there.
    """
    wanted = set(applied)
    found = [m for m in objects if _key(m) in wanted and (ready(m)[0] != "True" or stalled(m))]
    for run in of_kind(objects, "TrainingRun"):
        register = run["spec"].get("register")
        if _key(run) not in wanted or register is None:
            continue
        namespace = run["metadata"]["namespace"]
        versions = [
            version
            for version in of_kind(objects, "ModelVersion")
            if version["spec"]["modelName"] == register["modelName"] and version["metadata"]["namespace"] == namespace
        ]
        if not any(ready(version)[0] == "True" for version in versions):
            found += [m for m in [*_runs_of(objects, run), *versions] if ready(m)[0] != "True" and m not in found]
    return found


def _runs_of(objects: list[Manifest], template: Manifest) -> list[Manifest]:
    uid = template["metadata"]["uid"]
    return [
        run
        for run in of_kind(objects, "TrainingRun")
        if any(owner["uid"] == uid for owner in run["metadata"].get("ownerReferences", ()))
    ]


def _key(manifest: Manifest) -> tuple[str, str, str]:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata["namespace"], metadata["name"]


def _why(manifest: Manifest) -> str:
    status, reason, message = ready(manifest)
    if status == "True":
        reason, message = stalled(manifest) or (reason, message)
    name = manifest["metadata"]["name"]
    hint = f" (mlops logs {short_kind(manifest['kind'])} {name})" if "log" in message.split() else ""
    return printable(f"  {manifest['kind']} {name}: {reason}: {message}{hint}")


def lay_out_reports(objects: list[Manifest], store: Store, folder: Path) -> int:
    """Copy the reports of drift checks out of the store to `<folder>/<monitor>/<time>.html`; return how many."""
    count = 0
    for monitor in of_kind(objects, "DriftMonitor"):
        for check in monitor.get("status", {}).get("history", []):
            path = (
                folder / monitor["metadata"]["name"] / f"{check['time'][:16].replace(':', '')}-{check['verdict']}.html"
            )
            if not check.get("report") or path.exists():
                count += path.exists()
                continue
            try:
                content = store.read_file(check["report"], "report.html")
            except StoreError:
                continue  # an old report may have been removed; the rest is still worth having
            path.parent.mkdir(parents=True, exist_ok=True)
            # Never half a report: one that is there is not written again.
            beside = path.with_name(f".{path.name}.part")
            beside.write_bytes(content)
            beside.replace(path)
            count += 1
    return count


def _versions(objects: list[Manifest]) -> Iterator[str]:
    runs = {run["metadata"]["name"]: run for run in of_kind(objects, "TrainingRun")}
    table = [["VERSION", "STAGE", "TRAINED ON", "ROWS SINCE", "TEST METRICS", "FORMAT", "BECAUSE"]]
    for version in of_kind(objects, "ModelVersion"):
        lineage = version["spec"].get("lineage", {})
        run = runs.get(lineage.get("trainingRun", ""), {})
        status = run.get("status", {})
        metrics = [m for m in status.get("metrics", []) if m["dataset"] == "test"]
        table.append(
            [
                version["metadata"]["name"],
                version.get("status", {}).get("stage") or _share(version) or ready(version)[1],
                f"{lineage.get('dataset', '')} v{lineage.get('datasetVersion', '')}",
                (run.get("spec", {}).get("datasetRef", {}).get("since") or "the beginning")[:13],
                ", ".join(f"{m['name']} {m['value']}" for m in metrics[:3]),
                status.get("format") or "",
                _because(run),
            ]
        )
    if len(table) > 1:
        yield aligned(table)


def _share(version: Manifest) -> str:
    """Return the stage where a version is tried, with the share of the requests that it answers."""
    canary = version.get("status", {}).get("canary")
    return f"{canary['stage']} {canary['weight']} %" if canary and is_tried(version) else ""


# How a monitor names its runs, after the template's name.
_OF_ACTION = re.compile(r"-(retrain|rebuild|recalibrate)-\d+$")


def _because(run: Manifest) -> str:
    labels = run.get("metadata", {}).get("labels", {})
    name = run.get("metadata", {}).get("name", "")
    if "mlops.dev/monitor" in labels:
        did = _OF_ACTION.search(name)
        return f"monitor {labels['mlops.dev/monitor']}: {did[1] if did else 'run'}"
    return "template" if "mlops.dev/template" in labels else "run" if run else ""


def _verdicts(objects: list[Manifest]) -> Iterator[str]:
    for monitor in of_kind(objects, "DriftMonitor"):
        checks = list(reversed(monitor.get("status", {}).get("history", [])))
        if not checks:
            continue
        counts = Counter(check["verdict"] for check in checks)
        listed = ", ".join(f"{verdict} {count}" for verdict, count in counts.most_common())
        yield f"Monitor {monitor['metadata']['name']}: {len(checks)} checks: {listed}"
        table = [["FROM", "TO", "CHECKS", "VERDICT", "METRIC", "DONE"]]
        for (verdict, action), group in groupby(checks, key=lambda c: (c["verdict"], c.get("action", ""))):
            streak = list(group)
            values = [float(c["metric"]) for c in streak if c.get("metric")]
            spread = f"{min(values):.3f} to {max(values):.3f}" if values else ""
            table.append([streak[0]["time"][:10], streak[-1]["time"][:10], str(len(streak)), verdict, spread, action])
        yield aligned(table)
