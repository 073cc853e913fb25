"""From a rehearsal to what would be done, object by object, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops.api import labels
from mlops.cli.plan.differences import changed_paths, other_inputs
from mlops.cli.plan.rehearsal import Rehearsed
from mlops.cli.progress import headline, ready, stalled
from mlops.cli.summary import is_tried
from mlops.engine.cluster import labels_of
from mlops.engine.over import run_is_over
from mlops.local.cron_jobs import SCHEDULED
from mlops.planning.plan import Key, Manifest

_FINISHED = ("Complete", "Failed")
# What is no work: it is so already, or only goes on.
_IDLE = ("keep", "serve")


@dataclass(frozen=True)
class PlannedStep:
    """What would be done about one object, and why."""

    kind: str
    namespace: str
    name: str
    action: str
    because: str

    @property
    def is_work(self) -> bool:
        """Return whether anything would be made, read, trained or changed."""
        return self.action not in _IDLE


@dataclass(frozen=True)
class News:
    """Why the source of a Dataset would be synced though its spec is as it was."""

    why: str


class Steps:
    """Reads two rehearsals: what happens now, and what happened if each source that is read held the same rows."""

    def __init__(self, now: Rehearsed, same: Rehearsed, news: Mapping[Key, News]) -> None:
        self._now, self._same, self._news = now, same, news
        self._told: set[Key] = set()

    def all(self, manifests: Sequence[Key]) -> list[PlannedStep]:
        """Return the steps: those of what is applied in its order, then of what else is under way or served."""
        found = [step for key in manifests for step in self._of(key)]
        for run in self._now.new("TrainingRun"):
            found += self._run(run, "")
        for job in self._unfinished():
            found += self._goes_on(job)
        for version in self._now.new("ModelVersion"):
            found.append(_step(version, "register", "a model with equal inputs is there: it is verified, then served"))
        found += self._served()
        return found

    def _of(self, key: Key) -> Iterator[PlannedStep]:
        manifest = self._now.after[key]
        match key.kind:
            case "Dataset":
                yield self._dataset(key, manifest)
            case "TrainingRun" if manifest["spec"].get("triggers"):
                yield from self._template(key, manifest)
            case "TrainingRun":
                yield from self._run(manifest, self._change(key))
            case _:
                yield self._plain(key, manifest)

    # Datasets

    def _dataset(self, key: Key, manifest: Manifest) -> PlannedStep:
        self._told.add(key)
        version = manifest.get("status", {}).get("version")
        change, news = self._change(key), self._news.get(key)
        if not self._reads(manifest):
            status, reason, message = ready(manifest)
            if change:
                return _step(manifest, "change", f"{change}; the rows stay those of version {version}")
            if status == "True":
                return _step(manifest, "keep", f"{headline(manifest)}: spec and source are as at the last run")
            return _step(manifest, "keep", f"{reason}: {message}")
        due = next((said for job in self._jobs_of(manifest) if (said := self._due(job))), "")
        other = "it was never read" if version is None else due or "its last sync is not over"
        why = change or (news.why if news else other)
        told = "it was never read before" if version is None else _unless(version)
        return _step(manifest, "read", f"{why}; {told}" if version is not None else f"{why}: version 1 is made of it")

    def _reads(self, dataset: Manifest) -> bool:
        return any(not _is_finished(job) for job in self._jobs_of(dataset))

    def _change(self, key: Key) -> str:
        """Return how what is applied differs from what is there."""
        match self._now.applied.get(key):
            case "created":
                return "it is new"
            case "configured":
                paths = changed_paths(self._now.before[key]["spec"], self._now.after[key]["spec"])
                return f"changed: {paths}" if paths else "its labels or annotations are changed"
        return ""

    # Runs

    def _template(self, key: Key, template: Manifest) -> Iterator[PlannedStep]:
        self._told.add(key)
        change = self._change(key)
        made = [run for run in self._now.new("TrainingRun") if self._is_of(run, template)]
        for run in made:
            yield from self._run(run, change or f"template {key.name} calls for it")
        if made:
            return
        dataset = self._now.after.get(Key("Dataset", key.namespace, template["spec"]["datasetRef"]["name"]))
        triggers = template["spec"]["triggers"]
        fires = any(each.get("datasetVersion", each.get("datasetGrowth")) is not None for each in triggers)
        status, reason, message = ready(template)
        if dataset is not None and self._reads(dataset) and (fires or reason == "RunPending" or change):
            yield _step(template, "wait", self._if_same(template, dataset, change))
        elif status == "False" or stalled(template):
            yield _step(template, "wait", f"{reason}: {message}")
        else:
            yield _step(template, "change" if change else "keep", change or "nothing calls for a run")

    def _if_same(self, template: Manifest, dataset: Manifest, change: str) -> str:
        name, version = dataset["metadata"]["name"], dataset.get("status", {}).get("version")
        if version is None:
            return f"a run is made and trains when Dataset {name} was read"
        made = [run for run in self._same.new("TrainingRun") if self._is_of(run, template)]
        if not made:
            return f"{_new_version(template, name)} makes a run, which trains; the same rows make none"
        outcome = "; ".join(self._outcome(self._same, run)[1] for run in made)
        return (
            f"{f'{change}; ' if change else ''}a run is made when Dataset {name} was read; on the same rows: {outcome}"
        )

    @staticmethod
    def _is_of(run: Manifest, template: Manifest) -> bool:
        return any(each["uid"] == template["metadata"]["uid"] for each in run["metadata"].get("ownerReferences", ()))

    def _run(self, run: Manifest, change: str) -> Iterator[PlannedStep]:
        key = Key("TrainingRun", run["metadata"]["namespace"], run["metadata"]["name"])
        if key in self._told:
            return
        self._told.add(key)
        before = self._now.before.get(key)
        if before is not None and run_is_over(before) and run_is_over(run):
            status, reason, message = ready(run)
            said = headline(run) if status == "True" else message
            yield _step(run, "keep", f"{reason}: {said}" if said else reason)
            return
        action, because = self._outcome(self._now, run)
        if action == "wait" and (same := self._same.after.get(key)) is not None:
            dataset = self._now.after.get(Key("Dataset", key.namespace, run["spec"]["datasetRef"]["name"]))
            version = (dataset or {}).get("status", {}).get("version")
            if version is not None:
                because += f"; if its rows are those of version {version}: {self._outcome(self._same, same)[1]}"
        yield _step(run, action, f"{change}; {because}" if change and change != because else because)

    def _outcome(self, rehearsed: Rehearsed, run: Manifest) -> tuple[str, str]:
        """Return what becomes of a run that is not over before, and why."""
        status, reason, message = ready(run)
        content = run.get("status", {})
        if cached := content.get("cachedFrom"):
            return "cache", f"the result of {cached} is taken: its inputs are equal"
        if any(not _is_finished(job) for job in _jobs_of(rehearsed, run)):
            return "train", self._why_train(rehearsed, run)
        if status == "False" or stalled(run):
            reason, message = stalled(run) or (reason, message)
            return "refuse" if run_is_over(run) else "wait", f"{reason}: {message}"
        if status == "True":
            return "keep", f"{reason}: {message}"
        name = run["spec"]["datasetRef"]["name"]
        if reason == "DatasetNotReady":
            return "wait", f"what it trains on is known when Dataset {name} was read"
        return "wait", f"{reason}: {message}"

    def _why_train(self, rehearsed: Rehearsed, run: Manifest) -> str:
        if (run["spec"].get("reproducibility") or {}).get("verify") == "Once":
            return "it trains: spec.reproducibility.verify is Once, so nothing is taken from the cache"
        earlier = _earlier(rehearsed, run)
        if earlier is None:
            return "it trains: there is no earlier run of its model"
        name = earlier["metadata"]["name"]
        if earlier["status"].get("inputsDigest") == run["status"].get("inputsDigest"):
            return f"it trains: the inputs are those of {name}, which has no result that can be taken"
        return f"it trains: other than in {name} are {other_inputs(earlier, run)}"

    # What else there is

    def _plain(self, key: Key, manifest: Manifest) -> PlannedStep:
        self._told.add(key)
        change = self._change(key)
        if change == "it is new":
            return _step(manifest, "make", change)
        if job := next((one for one in self._jobs_of(manifest) if not _is_finished(one)), None):
            step = self._by_job(manifest, job)
            return _step(manifest, step.action, f"{change}; {step.because}") if change else step
        return _step(manifest, "change" if change else "keep", change or "as it is")

    def _unfinished(self) -> list[Manifest]:
        before = self._now.before
        return [
            job
            for key, job in self._now.after.items()
            if key.kind == "Job" and not _is_finished(job) and (key in before or not self._is_told(job))
        ]

    def _is_told(self, job: Manifest) -> bool:
        return any(owner in self._told for owner in self._owners(job))

    def _goes_on(self, job: Manifest) -> Iterator[PlannedStep]:
        for owner in self._owners(job):
            if owner not in self._told and (manifest := self._now.after.get(owner)) is not None:
                self._told.add(owner)
                yield self._by_job(manifest, job)

    def _by_job(self, owner: Manifest, job: Manifest) -> PlannedStep:
        """Return the step of what has an unfinished Job."""
        if due := self._due(job):
            return _step(owner, "read" if owner["kind"] == "Dataset" else "check", due)
        return _step(owner, "go on", f"Job {job['metadata']['name']} is not finished: it runs again")

    def _due(self, job: Manifest) -> str:
        """Return why a CronJob makes this Job now; nothing for other Jobs, and for one that is there before."""
        metadata = job["metadata"]
        tick = metadata.get("annotations", {}).get(SCHEDULED)
        made = Key("Job", metadata["namespace"], metadata["name"]) not in self._now.before
        return f"its schedule was due at {tick}" if tick and made else ""

    def _owners(self, job: Manifest) -> list[Key]:
        namespace = job["metadata"].get("namespace", "")
        return [Key(each["kind"], namespace, each["name"]) for each in job["metadata"].get("ownerReferences", ())]

    def _served(self) -> Iterator[PlannedStep]:
        for key, version in self._now.after.items():
            stages = version.get("status", {}).get("stages") if key.kind == "ModelVersion" else None
            if stages and key not in self._told:
                yield _step(version, "serve", f"live in {', '.join(stages)}")
            elif key.kind == "ModelVersion" and key not in self._told and is_tried(version):
                yield _step(version, "try", ready(version)[2])

    def _jobs_of(self, owner: Manifest) -> list[Manifest]:
        return _jobs_of(self._now, owner)


def _jobs_of(rehearsed: Rehearsed, owner: Manifest) -> list[Manifest]:
    uid = owner["metadata"]["uid"]
    return [
        one
        for key, one in rehearsed.after.items()
        if key.kind == "Job" and any(each["uid"] == uid for each in one["metadata"].get("ownerReferences", ()))
    ]


def _unless(version: int) -> str:
    return f"a new version, unless the rows come out as those of version {version}"


def _earlier(rehearsed: Rehearsed, run: Manifest) -> Manifest | None:
    """Return the newest other run that was pinned, of the same template or the same model."""
    template = labels_of(run).get(labels.TEMPLATE)
    model = (run["spec"].get("register") or {}).get("modelName")
    found = [
        one
        for key, one in rehearsed.after.items()
        if key.kind == "TrainingRun"
        and one["metadata"]["uid"] != run["metadata"]["uid"]
        and one["metadata"]["namespace"] == run["metadata"]["namespace"]
        and one.get("status", {}).get("inputsDigest")
        and (
            (template is not None and labels_of(one).get(labels.TEMPLATE) == template)
            or (model is not None and (one["spec"].get("register") or {}).get("modelName") == model)
        )
    ]
    return found[-1] if found else None


def _is_finished(job: Manifest) -> bool:
    return any(
        each["type"] in _FINISHED and each["status"] == "True" for each in job.get("status", {}).get("conditions") or ()
    )


def _step(manifest: Manifest, action: str, because: str) -> PlannedStep:
    metadata: dict[str, Any] = manifest["metadata"]
    return PlannedStep(manifest["kind"], metadata["namespace"], metadata["name"], action, because)


def _new_version(template: Manifest, dataset: str) -> str:
    """Return which versions to come a template makes a run of."""
    triggers = template["spec"]["triggers"]
    grown = [each["datasetGrowth"]["percent"] for each in triggers if each.get("datasetGrowth")]
    said = f"a new version of Dataset {dataset}"
    if not grown or any(each.get("datasetVersion") is not None for each in triggers):
        return said
    known = template.get("status", {}).get("trainedOn")
    than = f"the {known['rows']:,} of version {known['version']}" if known else "the newest model was trained on"
    return f"{said} with {min(grown)} % more rows than {than}"
