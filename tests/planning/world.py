"""A cluster in a dictionary: it carries plans out, runs Jobs by a function, and rolls Deployments out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from mlops.api import kinds, labels, tasks
from mlops.api.base import format_time, parse_time
from mlops.engine.cluster import key_of
from mlops.planning.dataset import planner as dataset
from mlops.planning.monitor import planner as drift_monitor
from mlops.planning.plan import Key, Manifest, Plan
from mlops.planning.serving import planner as model_version
from mlops.planning.training import run as training_run
from mlops.planning.views import (
    DatasetView,
    DriftMonitorView,
    JobView,
    ModelView,
    ServerPod,
    TrainingRunView,
)
from tests.containers import task_of
from tests.planning.builders import NOW, SETTINGS


@dataclass(frozen=True)
class End:
    """How a Job ends whose pods do not report well: its last pod's message, exit code and container's reason, and why
    the Job failed (None: it is complete all the same)."""

    message: str | None = None
    exit_code: int = 2
    container: str = "Error"
    why: str | None = "PodFailurePolicy"


Answer = tasks.Report | End | None


def copied(value: Any) -> Any:
    """Return a copy of JSON: many times faster than copy.deepcopy, which looks for what is there twice."""
    if isinstance(value, dict):
        return {name: copied(each) for name, each in value.items()}
    return [copied(each) for each in value] if isinstance(value, list | tuple) else value


class World:
    """Objects by address. `pods` gives the report of a task (None: it still works)."""

    def __init__(self, pods: Callable[[tasks.Task], Answer] | None = None) -> None:
        self.pods = pods or (lambda task: None)
        self.objects: dict[Key, Manifest] = {}
        self.messages: dict[str, tuple[str | None, int]] = {}
        self.containers: dict[str, str] = {}
        # Of these the pods come up and are silent, or do as their entry in `troubles` says.
        self.broken_artifacts: set[str] = set()
        self.troubles: dict[str, dict[str, Any]] = {}
        # Candidates of canaries, by artifact, and what ails pods that have one.
        self.broken_candidates: dict[str, dict[str, Any]] = {}
        # Pods of earlier templates that answer still, by stage: the name of their version and its artifact.
        self.left: dict[str, tuple[str, str]] = {}
        # In these stages the pods of any version are in trouble.
        self.troubled_stages: dict[str, dict[str, Any]] = {}
        # And these, whatever they say.
        self.more_pods: list[ServerPod] = []
        self.now = NOW
        self.settings = SETTINGS
        self.made: list[str] = []
        self.status_writes = 0
        self._uids = 0
        self._puts = 0
        # What was parsed of an object, and of which state of it: parsing takes most of the time.
        self._known: dict[Key, tuple[Manifest, Any]] = {}

    # --- objects ---

    def put(self, *resources: Any) -> None:
        for resource in resources:
            manifest = resource.dump()
            self._puts += 1
            manifest["metadata"]["uid"] = f"put-{self._puts}"
            self.objects[Key(*resource.key)] = manifest

    def get(self, kind: str, name: str) -> Any:
        return self._parsed(Key(kind, "team", name))

    def _parsed(self, key: Key) -> Any:
        manifest, known = self.objects[key], self._known.get(key)
        if known is None or known[0] != manifest:
            known = self._known[key] = (copied(manifest), kinds.parse(manifest))
        return known[1]

    def names(self, kind: str) -> list[str]:
        return sorted(key.name for key in self.objects if key.kind == kind)

    def change(self, kind: str, name: str, **spec: Any) -> None:
        manifest = self.objects[Key(kind, "team", name)]
        manifest["spec"].update(spec)
        manifest["metadata"]["generation"] += 1

    def annotate(self, kind: str, name: str, annotation: str, text: str) -> None:
        metadata = self.objects[Key(kind, "team", name)]["metadata"]
        metadata["annotations"] = {**metadata.get("annotations", {}), annotation: text}

    def delete(self, kind: str, name: str) -> None:
        """Delete an object, and by garbage collection all whose last owner it was."""
        gone = self.objects.pop(Key(kind, "team", name))
        uid = gone["metadata"].get("uid")
        for key, manifest in list(self.objects.items()):
            owners = manifest["metadata"].get("ownerReferences", [])
            left = [owner for owner in owners if owner["uid"] != uid]
            if owners and not left:
                self.delete(key.kind, key.name)
            elif len(left) != len(owners):
                manifest["metadata"]["ownerReferences"] = left

    # --- planning ---

    def _of(self, kind: str) -> Iterator[Any]:
        return (self._parsed(key) for key in sorted(self.objects) if key.kind == kind)

    def _jobs(self, label: str, value: str) -> tuple[JobView, ...]:
        found = []
        for key, manifest in sorted(self.objects.items()):
            if key.kind == "Job" and manifest["metadata"].get("labels", {}).get(label) == value:
                message, code = self.messages.get(key.name, (None, None))
                ended = self.containers.get(key.name, "Error" if code else None)
                found.append(JobView(copied(manifest), message, code, ended))
        return tuple(found)

    def _cron_job(self, owner: Any) -> Manifest | None:
        uid = owner.metadata.uid
        crons = (manifest for key, manifest in self.objects.items() if key.kind == "CronJob")
        return next((each for each in crons if each["metadata"]["ownerReferences"][0]["uid"] == uid), None)

    def _history(self, model: str | None) -> tuple[Manifest, ...]:
        maps = (manifest for key, manifest in self.objects.items() if key.kind == "ConfigMap")
        return tuple(each for each in maps if each["metadata"]["labels"][labels.MODEL] == model)

    def plans(self) -> Iterator[Plan]:
        """Yield a plan for every object, each from what is there then."""
        for key in [key for key in sorted(self.objects) if key.kind in kinds.KINDS]:
            if key in self.objects:
                yield self.plan(key.kind, key.name)

    def plan(self, kind: str, name: str) -> Plan:
        runs, versions = list(self._of("TrainingRun")), list(self._of("ModelVersion"))
        match self.get(kind, name):
            case kinds.Dataset() as it:
                captured = it.spec.source.captured.model_name if it.spec.source.captured else None
                return dataset.plan(
                    DatasetView(
                        now=self.now,
                        settings=self.settings,
                        dataset=it,
                        jobs=self._jobs(labels.DATASET, name),
                        cron_job=self._cron_job(it),
                        waiting_runs=tuple(r for r in runs if r.spec.dataset_ref.name == name),
                        captured_versions=tuple(v for v in versions if v.spec.model_name == captured),
                        asked=tuple(
                            monitor.status.nothing_new.asked
                            for monitor in self._of("DriftMonitor")
                            if monitor.status.nothing_new
                            and monitor.status.nothing_new.dataset == name
                            and monitor.status.nothing_new.asked
                        ),
                    )
                )
            case kinds.TrainingRun() as it:
                model = it.spec.register_.model_name if it.spec.register_ else None
                data = next((d for d in self._of("Dataset") if d.metadata.name == it.spec.dataset_ref.name), None)
                return training_run.plan(
                    TrainingRunView(
                        now=self.now,
                        settings=self.settings,
                        run=it,
                        dataset=data,
                        jobs=self._jobs(labels.RUN, name),
                        siblings=tuple(r for r in runs if r.metadata.name != name),
                        versions=tuple(v for v in versions if v.spec.model_name == model),
                        history=self._history(model),
                    )
                )
            case kinds.ModelVersion() as it:
                model = it.spec.model_name
                return model_version.plan(
                    ModelView(
                        now=self.now,
                        settings=self.settings,
                        namespace="team",
                        model_name=model,
                        versions=tuple(v for v in versions if v.spec.model_name == model),
                        jobs=self._jobs(labels.MODEL, model),
                        deployments={k.name: m for k, m in self.objects.items() if k.kind == "Deployment"},
                        services={k.name: m for k, m in self.objects.items() if k.kind == "Service"},
                        disruption_budgets={
                            k.name: m for k, m in self.objects.items() if k.kind == "PodDisruptionBudget"
                        },
                        autoscalers={k.name: m for k, m in self.objects.items() if k.kind == "HorizontalPodAutoscaler"},
                        pods=tuple(self.pods_of_servers()),
                        runs={r.metadata.name: r for r in runs},
                        history=self._history(model),
                        present=frozenset(v.metadata.uid for v in versions),
                        rollbacks={
                            monitor.metadata.name: monitor.status.rollback
                            for monitor in self._of("DriftMonitor")
                            if monitor.status.rollback and monitor.spec.target_ref.model_name == model
                        },
                    )
                )
            case it:
                ref = it.spec.training_run_ref.name if it.spec.training_run_ref else None
                template = next((r for r in runs if r.metadata.name == ref), None)
                data = template.spec.dataset_ref.name if template else None
                return drift_monitor.plan(
                    DriftMonitorView(
                        now=self.now,
                        settings=self.settings,
                        monitor=it,
                        cron_job=self._cron_job(it),
                        jobs=self._jobs(labels.MONITOR, name),
                        versions=tuple(v for v in versions if v.spec.model_name == it.spec.target_ref.model_name),
                        template=template,
                        dataset=next((d for d in self._of("Dataset") if d.metadata.name == data), None),
                        label_dataset=next(
                            (d for d in self._of("Dataset") if d.metadata.name == it.spec.labels.dataset), None
                        ),
                        reference_dataset=next(
                            (
                                d
                                for d in self._of("Dataset")
                                if it.spec.reference and d.metadata.name == it.spec.reference.dataset
                            ),
                            None,
                        ),
                        runs=tuple(r for r in runs if r.metadata.labels.get(labels.TEMPLATE) == ref),
                    )
                )

    # --- acting ---

    def carry_out(self, plan: Plan, *, writes: int = 1_000_000) -> int:
        """Carry out at most `writes` writes of the plan, in the engine's order; return how many there were."""
        done = 0
        for write in self._writes(plan):
            if done == writes:
                return done
            done += write()
        return done

    def _writes(self, plan: Plan) -> Iterator[Callable[[], bool]]:
        for key, status in plan.statuses.items():
            yield lambda key=key, status=status: self._write_status(key, status.dump())
        for manifest in plan.apply:
            yield lambda manifest=manifest: self._apply(manifest)
        for manifest in plan.create:
            yield lambda manifest=manifest: self._create(manifest)
        for key, uid in plan.delete:
            yield lambda key=key, uid=uid: self._remove(key, uid)

    def _write_status(self, key: Key, status: Manifest) -> bool:
        manifest = self.objects.get(key)
        if manifest is None or manifest.get("status") == status:
            return False
        kinds.parse({**manifest, "status": status})
        manifest["status"] = copied(status)
        self.status_writes += 1
        return True

    def _apply(self, manifest: Manifest) -> bool:
        key = _key(manifest)
        there = self.objects.get(key)
        if there is None:
            return self._create(manifest)
        wanted = copied(manifest)
        kept = {name: there["metadata"][name] for name in ("uid", "generation", "creationTimestamp")}
        wanted["metadata"].update(kept)
        wanted["status"] = there.get("status", {})
        if wanted == {"status": {}, **there}:
            return False
        self._keep_answering(there, wanted)
        wanted["metadata"]["generation"] += wanted.get("spec") != there.get("spec")
        self.objects[key] = wanted
        return True

    def _keep_answering(self, there: Manifest, wanted: Manifest) -> None:
        """Keep the pods of the template before until those of the new one are ready."""
        old, new = (each["metadata"].get("annotations", {}).get(labels.ARTIFACT) for each in (there, wanted))
        if there["kind"] == "Deployment" and old != new and old not in self.broken_artifacts:
            own = there["metadata"]["labels"]
            self.left[own[labels.STAGE]] = (own[labels.MODEL_VERSION], old)

    def _create(self, manifest: Manifest) -> bool:
        key = _key(manifest)
        if key in self.objects:
            return False
        self._uids += 1
        made = copied(manifest)
        made["metadata"].update(uid=f"uid-{self._uids}", generation=1, creationTimestamp=format_time(self.now))
        if key.kind in kinds.KINDS:
            kinds.parse(made)
        self.objects[key] = made
        self.made.append(f"{key.kind}/{key.name}")
        return True

    def _remove(self, key: Key, uid: str) -> bool:
        there = self.objects.get(key)
        if there is None or there["metadata"]["uid"] != uid:
            return False
        self.delete(key.kind, key.name)
        return True

    # --- what a cluster does by itself ---

    def tick(self) -> None:
        """Let the cluster's own controllers work: Jobs run, Deployments roll out, a minute goes by."""
        self.now += timedelta(minutes=1)
        for key, manifest in list(self.objects.items()):
            if key.kind == "Job" and "status" not in manifest:
                self._run_job(key, manifest)
            if key.kind == "Deployment":
                self._roll_out(manifest)

    def _run_job(self, key: Key, manifest: Manifest) -> None:
        spec = manifest["spec"]["template"]["spec"]
        task = task_of(spec["containers"][-1])
        assert task is not None
        report = self.pods(task)
        if report is None:
            return
        if isinstance(report, End):
            self._end_badly(key, manifest, report)
            return
        bad = isinstance(report, tasks.FailureReport)
        end = {"type": "Failed" if bad else "Complete", "status": "True", "lastTransitionTime": format_time(self.now)}
        manifest["status"] = {"conditions": [end]}
        self.messages[key.name] = (tasks.write_report(report), 2 if bad else 0)

    def _end_badly(self, key: Key, manifest: Manifest, end: End) -> None:
        said = {"type": "Failed" if end.why else "Complete", "status": "True"}
        said |= {"reason": end.why} if end.why else {}
        manifest["status"] = {"conditions": [{**said, "lastTransitionTime": format_time(self.now)}]}
        self.messages[key.name] = (end.message, end.exit_code)
        self.containers[key.name] = end.container

    def _roll_out(self, manifest: Manifest) -> None:
        scaler = self.objects.get(key_of(manifest)._replace(kind="HorizontalPodAutoscaler"))
        least = scaler["spec"]["minReplicas"] if scaler else 1
        wanted, generation = manifest["spec"].get("replicas", least), manifest["metadata"]["generation"]
        artifact = manifest["spec"]["template"]["metadata"]["annotations"][labels.ARTIFACT]
        stage = manifest["metadata"]["labels"][labels.STAGE]
        if artifact in self.broken_artifacts or stage in self.troubled_stages or self._ails_candidate(manifest):
            conditions = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
            counts = {"replicas": wanted + 1, "updatedReplicas": 1, "readyReplicas": wanted}
        else:
            self.left.pop(manifest["metadata"]["labels"][labels.STAGE], None)
            conditions = [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]
            counts = {"replicas": wanted, "updatedReplicas": wanted, "readyReplicas": wanted}
        manifest["status"] = {"observedGeneration": generation, "conditions": conditions, **counts}

    def pods_of_servers(self) -> Iterator[ServerPod]:
        """Yield one pod of each Deployment's present template, and those that are left of earlier ones."""
        yield from self.more_pods
        for key, manifest in sorted(self.objects.items()):
            if key.kind != "Deployment":
                continue
            own, annotations = manifest["metadata"]["labels"], manifest["metadata"]["annotations"]
            artifact = annotations[labels.ARTIFACT]
            pod = ServerPod(f"{key.name}-1", own[labels.STAGE], own[labels.MODEL_VERSION], own[labels.DIGEST])
            if (ails := self._ails_candidate(manifest)) is not None:
                # Nothing of the template before goes until one of this is ready.
                yield replace(pod, name=f"{key.name}-0", ready=True)
                yield replace(pod, canary=own[labels.CANARY], **ails)
                continue
            pod = replace(pod, canary=own.get(labels.CANARY, ""))
            broken = artifact in self.broken_artifacts or pod.stage in self.troubled_stages
            up = {"started": True, "running_since": parse_time(annotations[labels.SINCE])}
            trouble = self.troubled_stages.get(pod.stage) or self.troubles.get(artifact, up)
            yield replace(pod, **trouble) if broken else replace(pod, ready=True)
            if (left := self.left.get(pod.stage)) is not None:
                name, of = left
                yield ServerPod(f"{key.name}-0", pod.stage, name, labels.short(of, 16), ready=True)

    def _ails_candidate(self, deployment: Manifest) -> dict[str, Any] | None:
        """Return what ails its pods because of the candidate that they have; None if they have none, or are well."""
        task = task_of(deployment["spec"]["template"]["spec"]["containers"][0])
        candidate = task.candidate if isinstance(task, tasks.ServeTask) else None
        return self.broken_candidates.get(candidate.artifact) if candidate is not None else None

    def schedule(self, cron_job: str, when: datetime) -> str:
        """Make the Job of a CronJob for the time `when`, as its controller would; return its name."""
        template = self.objects[Key("CronJob", "team", cron_job)]
        name = f"{cron_job}-{int(when.timestamp()) // 60}"
        owner = {"kind": "CronJob", "name": cron_job, "uid": template["metadata"]["uid"], "controller": True}
        self._create(
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {
                    "name": name,
                    "namespace": "team",
                    "labels": template["spec"]["jobTemplate"]["metadata"]["labels"],
                    "ownerReferences": [owner],
                },
                "spec": template["spec"]["jobTemplate"]["spec"],
            }
        )
        return name

    def settle(self, limit: int = 60) -> None:
        """Plan, act and let the cluster work until nothing changes any more."""
        for _ in range(limit):
            before, again = copied(self.objects), []
            for plan in self.plans():
                self.carry_out(plan)
                again += [plan.requeue_at] if plan.requeue_at else []
            self.tick()
            if self.objects == before:
                if not again:
                    return
                self.now = max(self.now, min(again))
        raise AssertionError(f"not settled after {limit} rounds")

    def assert_settled(self) -> None:
        """Check that planning again writes nothing."""
        for plan in self.plans():
            assert self.carry_out(plan) == 0, plan


def _key(manifest: Manifest) -> Key:
    return Key(manifest["kind"], manifest["metadata"]["namespace"], manifest["metadata"]["name"])
