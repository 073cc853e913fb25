"""Bugs planted one at a time into a copy of the operator: what the simulation is worth is how soon it finds them.

`python -m tests.simulation.planted` plants each, runs the simulation on the copy until an invariant breaks, and prints
the table of docs/simulation.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "operator"


@dataclass(frozen=True)
class Bug:
    """`right` stands once in `file` (below operator/mlops) and is replaced by `wrong`; `kind` is the pattern it is of.

    `kept` names the case in `regressions/` that was kept when the operator had this bug, and the invariant it breaks.
    `story` is one that shows it though nothing goes wrong in it.
    """

    name: str
    kind: str
    file: str
    right: str
    wrong: str
    kept: tuple[str, str] | None = None
    story: str | None = None


BUGS = (
    # --- crash between two writes ---
    Bug(
        "children before the status",
        "order of writes",
        "engine/reconcile.py",
        """        for owner, status in self._with_problems(key, plan, hopeless).items():
            await self._writing.status(owner, self._with_trouble(owner, status).dump())
        failed = []
        for children, write in ((plan.apply, self._writing.apply), (plan.create, self._writing.create)):
            for child in children:
                problem = hopeless.get(key_of(child))
                if (problem is None or problem.due) and (error := await self._write_child(child, write)):
                    failed.append(error)
""",
        """        failed = []
        for children, write in ((plan.apply, self._writing.apply), (plan.create, self._writing.create)):
            for child in children:
                problem = hopeless.get(key_of(child))
                if (problem is None or problem.due) and (error := await self._write_child(child, write)):
                    failed.append(error)
        for owner, status in self._with_problems(key, plan, hopeless).items():
            await self._writing.status(owner, self._with_trouble(owner, status).dump())
""",
    ),
    Bug(
        "a Job is named by the clock",
        "order of writes",
        "planning/dataset/due.py",
        """    as_of = format_time(
        max([timestamp for timestamp in timestamps if timestamp], default=datetime.fromtimestamp(0, UTC))
    )
""",
        "    as_of = format_time(view.now)\n",
    ),
    Bug(
        "what a run is pinned to is looked up at each plan",
        "order of writes",
        "planning/training/run.py",
        "    if known.status.resolved is None:\n        # Nothing of the run was judged yet",
        "    if known.status.output_digest is None:\n        # Nothing of the run was judged yet",
    ),
    Bug(
        "a failed attempt's Job is not told from the next one's",
        "order of writes",
        "planning/dataset/due.py",
        "    return Need(as_of, ingest_job_name(dataset, as_of, status.attempts, status.retried), new_content)\n",
        "    return Need(as_of, ingest_job_name(dataset, as_of, 0, status.retried), new_content)\n",
    ),
    # --- what was ---
    Bug(
        "the record of a model is made again from the versions that are there",
        "lost past",
        "planning/model_history.py",
        """    number, text = (0, "") if newest is None else (segment_number(newest), text_of(newest))\n""",
        """    number, text = 0, ""\n""",
        story="loop",
    ),
    Bug(
        "that a version is gone is not recorded",
        "lost past",
        "planning/model_history.py",
        "        if uid not in view.present and uid not in over:\n",
        "        if uid not in view.present and uid in over:\n",
        story="loop",
    ),
    Bug(
        "of two entries that one plan adds the second does not name the first",
        "lost past",
        "planning/model_history.py",
        """        head, line = ChainHead(link["entry"], link[HASH]), written(link) + "\\n"\n""",
        """        line = written(link) + "\\n"\n""",
        story="loop",
    ),
    # --- approval ---
    Bug(
        "what a stage asks of people is not looked at",
        "approval",
        "planning/serving/candidates.py",
        "        if stage in self.unapproved:\n            return False\n",
        "",
    ),
    Bug(
        "an author approves of what is theirs",
        "approval",
        "planning/approving.py",
        "    if rule.not_author and given.user in authors_of(version.metadata):\n",
        "    if rule.not_author and given.user in ():\n",
        story="approval",
    ),
    Bug(
        "an approval is of any model",
        "approval",
        "planning/approving.py",
        "    if given.artifact != artifact:\n",
        "    if given.artifact is None:\n",
    ),
    Bug(
        "what serves stays when its approval is taken back",
        "approval",
        "planning/serving/candidates.py",
        "        if stage in self.unapproved:\n            return False\n",
        "        if stage in self.unapproved and stage not in self.passed:\n            return False\n",
        story="approval",
    ),
    Bug(
        "that a version was withdrawn is not recorded",
        "lost past",
        "planning/history_steps.py",
        "    for step in reversed(status.transitions):\n",
        "    for step in reversed([each for each in status.transitions if each.to != WITHDRAWN]):\n",
        story="rollback",
    ),
    Bug(
        "a Dataset that was made again begins at version 1",
        "lost past",
        "planning/dataset/results.py",
        "(status.version or spoken_for) + 1",
        "(status.version or 0) + 1",
        story="new data",
    ),
    # --- what is removed ---
    Bug(
        "what a model was made of is removed",
        "lost past",
        "planning/dataset/retention.py",
        "        goes = entry.version in taken and not _needed_by(view, entry)\n",
        "        goes = entry.version in taken\n",
        story="retention",
    ),
    Bug(
        "the current version is one of those that go",
        "lost past",
        "planning/dataset/retention.py",
        "    older = [each for each in status.history if each.version != status.version]\n    taken = set()\n",
        "    older = list(status.history)\n    taken = set()\n",
        story="retention",
    ),
    Bug(
        "a run is pinned to a version that was removed",
        "lost past",
        "planning/training/pinning.py",
        "    if found is not None and found.removed is not None:\n",
        "    if found is not None and found.removed is None and found.rows < 0:\n",
        story="retention",
    ),
    Bug(
        "bytes go that the current version has too",
        "lost past",
        "planning/dataset/retention.py",
        "for each in status.history if is_erasing(each)} - kept - shared\n",
        "for each in status.history if is_erasing(each)}\n",
        story="retention",
    ),
    # --- stale reads ---
    Bug(
        "older versions of an object are taken in",
        "stale read",
        "cluster/memory.py",
        "        if old is not None and version_of(old) >= version:\n            return False\n",
        "        if old is not None and version_of(old) == version:\n            return False\n",
    ),
    Bug(
        "the deleted are forgotten",
        "stale read",
        "cluster/memory.py",
        "        if key.kind not in self._objects or self._gone.get(uid, -1) >= version:\n            return False\n",
        "        if key.kind not in self._objects:\n            return False\n",
    ),
    Bug(
        "a list takes away what is newer than it",
        "stale read",
        "cluster/memory.py",
        "                differences += self.forget(manifest, version)\n",
        "                differences += self.forget(manifest, version_of(manifest))\n",
    ),
    Bug(
        "a deletion seen late takes the object that came after it",
        "stale read",
        "cluster/memory.py",
        "        if old is None or _uid(old) != uid:\n            self._remember_gone(uid, as_of)\n            return False\n        if version_of(old) > as_of:\n            return False\n",
        "        if old is None:\n            self._remember_gone(uid, as_of)\n            return False\n",
    ),
    Bug(
        "a status is written over whatever is there",
        "stale read",
        "cluster/writer.py",
        """                "resourceVersion": seen["metadata"]["resourceVersion"],\n""",
        "",
    ),
    Bug(
        "a Job's end is believed without its pod",
        "stale read",
        "cluster/memory.py",
        '            return not ends["Succeeded"]\n',
        "            return False\n",
    ),
    # --- missed events ---
    Bug(
        "deletions wake nobody",
        "missed event",
        "engine/controller.py",
        "        for manifest in (old, new):\n            if manifest is not None:\n",
        "        for manifest in (new,):\n            if manifest is not None:\n",
    ),
    Bug(
        "new data wakes no run",
        "missed event",
        "engine/links.py",
        'Link("TrainingRun", "Dataset", NAME, by="spec.datasetRef.name", unfinished=True)\n',
        'Link("TrainingRun", "Dataset", NAME, by="spec.datasetRef.name", wakes=False)\n',
    ),
    Bug(
        "a check wakes no monitor",
        "missed event",
        "engine/links.py",
        "Link(planned, CHILD, label(name)) for name, planned in OWNERS.items())\n",
        'Link(planned, CHILD, label(name)) for name, planned in OWNERS.items() if planned != "DriftMonitor")\n',
    ),
    Bug(
        "a deletion does not say of which object",
        "ownership",
        "cluster/writer.py",
        '            "preconditions": {"uid": uid},\n',
        "",
    ),
    Bug(
        "what happens during the work is missed",
        "missed event",
        "engine/queue.py",
        "        if key in self._active:\n            self._again.add(key)\n",
        "        if key in self._active:\n            return\n",
    ),
    Bug(
        "what failed is not tried again",
        "missed event",
        "engine/queue.py",
        "            self._backing_off[key] = loop.call_later(delay, self.add, key)\n",
        "            loop.time()\n",
    ),
    Bug(
        "nobody comes back at the time that was asked for",
        "missed event",
        "engine/queue.py",
        "        self._failures.pop(key, None)\n        self._requeue_at(key, requeue_at)\n",
        "        self._failures.pop(key, None)\n",
    ),
    Bug(
        "what a list has that is news is not looked up",
        "missed event",
        "cluster/resync.py",
        "        news = [head for head in heads if self._memory.lacks(served.kind, head)]\n",
        "        news = [head for head in heads if not head['uid']]\n",
    ),
    # --- whose it is ---
    Bug(
        "one that was deleted and made again is the same",
        "ownership",
        "cluster/memory.py",
        "        if old is not None and _uid(old) != uid:\n",
        "        if old is not None and _uid(old) is uid is None:\n",
    ),
    Bug(
        "children have no owner",
        "ownership",
        "planning/ownership.py",
        '    return [_reference(resource) | {"controller": True, "blockOwnerDeletion": True}]\n',
        "    return []\n",
    ),
    Bug(
        "the newest version alone owns what serves",
        "ownership",
        "planning/serving/planner.py",
        "        apply=(*model_history.segments(view, statuses), *_servers(view, wanted, _owners(present, wanted))),\n",
        "        apply=(*model_history.segments(view, statuses), *_servers(view, wanted, present[-1:])),\n",
    ),
    # --- who may write ---
    Bug(
        "a write does not ask for the Lease",
        "leadership",
        "cluster/writer.py",
        "        if not self._allowed():\n",
        "        if self._allowed is None:\n",
    ),
    Bug(
        "a holder counts from the answer, and to the end",
        "leadership",
        "cluster/lease.py",
        "        self._held_until = sent + self._renew\n",
        "        self._held_until = self._clock.monotonic() + 2 * self._duration\n",
    ),
    Bug(
        "a Job's end is believed with any pod's",
        "stale read",
        "cluster/memory.py",
        '            return not ends["Succeeded"]\n',
        '            return not ends["Succeeded"] + ends["Failed"]\n',
        ("a-job-is-told-by-its-last-pod", "WorkIsDoneOnce"),
    ),
    Bug(
        "another's Lease is taken at once",
        "leadership",
        "cluster/lease.py",
        '        return self._unchanged_since + float(spec.get("leaseDurationSeconds") or self._duration)\n',
        "        return self._unchanged_since + 1.0\n",
    ),
    Bug(
        "who was stopped goes on as the holder",
        "leadership",
        "cluster/lease.py",
        "        return self._clock.monotonic() < self._held_until\n",
        "        return self._held_until > 0\n",
    ),
    Bug(
        "the Lease is given up while an Event is on its way",
        "leadership",
        "cluster/stopping.py",
        "    quiet = await writes.settle(_NEWS_SECONDS)\n",
        "    quiet = True\n",
        ("no-event-comes-after-the-lease-is-given-up", "OnlyTheHolderWrites"),
    ),
    # --- what the planners decide ---
    Bug(
        "a child that was changed is left as it is",
        "convergence",
        "engine/writing.py",
        "        if present is not None and covers(present, ours):\n",
        '        if present is not None and present["metadata"].get("annotations", {}).get("mlops.dev/applied") == short_digest(wanted):\n',
    ),
    Bug(
        "a status is written whether it differs or not",
        "convergence",
        "engine/writing.py",
        '        if seen is None or (seen.get("status") or {}) == status:\n            return\n',
        "        if seen is None:\n            return\n",
    ),
    Bug(
        "the same rows are a new version",
        "planning",
        "planning/dataset/results.py",
        "    unchanged = status.digest == report.digest\n",
        "    unchanged = False\n",
    ),
    Bug(
        "a sync is taken in twice",
        "planning",
        "planning/dataset/jobs.py",
        "        and ((each.at, each.job.name) > mark or (need is not None and each.job.name == need.job_name))\n",
        "        and ((each.at, each.job.name) >= mark or (need is not None and each.job.name == need.job_name))\n",
    ),
    Bug(
        "a sync of an earlier spec counts",
        "planning",
        "planning/dataset/jobs.py",
        '    return bool(job.manifest["metadata"].get("labels", {}).get(labels.DIGEST) == wanted)\n',
        "    return bool(wanted)\n",
    ),
    Bug(
        "a finished run is judged again",
        "planning",
        "planning/training/run.py",
        "    elif say.is_over(run.status.conditions):\n        # A run is one execution",
        "    elif say.is_over(run.status.conditions) and not run.spec.register_:\n        # A run is one execution",
    ),
    Bug(
        "a result is taken over from a run on other data",
        "planning",
        "planning/training/executing.py",
        "        if sibling.status.inputs_digest == status.inputs_digest\n",
        "        if sibling.status.inputs_digest is not None\n",
    ),
    Bug(
        "live before a pod is ready",
        "planning",
        "planning/serving/traffic.py",
        "        if present is not None and rollout.shows(present, wanted) and rollout.is_available(present):\n            live[stage] = wanted\n",
        "        if present is not None and rollout.shows(present, wanted):\n            live[stage] = wanted\n",
    ),
    Bug(
        "served before it is verified",
        "planning",
        "planning/serving/candidates.py",
        "        return self.stages[: self.gates.open_stages] if self.gates else []\n",
        "        return self.stages[: self.gates.open_stages] if self.gates else self.stages\n",
    ),
    Bug(
        "a withdrawn version may serve",
        "planning",
        "planning/serving/candidates.py",
        "        if self.competitor or self.version.spec.withdrawn or self.gates is None or stage not in self.stages:\n",
        "        if self.competitor or self.gates is None or stage not in self.stages:\n",
    ),
    Bug(
        "the old pods go before the new ones are ready",
        "planning",
        "planning/serving/planner.py",
        "    serving = {server_name(view.model_name, stage) for stage in wanted.chosen}\n",
        "    serving = {server_name(view.model_name, stage) for stage in wanted.live}\n",
    ),
    # --- whose fault it is ---
    Bug(
        "a time limit counts for a version that has served",
        "rollout",
        "planning/serving/rollout.py",
        "    if proven or silent_until is None or silent_until > view.now or not _gave_up(present):\n",
        "    if since is None or since + timedelta(seconds=PROGRESS_DEADLINE) > view.now or not _gave_up(present):\n",
        story="slow rollouts",
    ),
    Bug(
        "what pods say at their end is not read",
        "rollout",
        "planning/serving/server_pods.py",
        "    return _of_end(pod, pod.end) if pod.end is not None else None\n",
        "    return None\n",
        story="slow rollouts",
    ),
    Bug(
        "trouble of the cluster is taken for the model's",
        "rollout",
        "planning/serving/server_pods.py",
        "    if end.exit_code != tasks.EXIT_BAD_INPUT:\n        return Fault.CLUSTER\n",
        "    if end.exit_code != tasks.EXIT_BAD_INPUT:\n        return Fault.MODEL\n",
        story="slow rollouts",
    ),
    Bug(
        "an older version is tried though pods answer",
        "rollout",
        "planning/serving/rollout.py",
        "    if proven and any(pod.ready for pod in pods):\n        return None\n",
        "",
        story="slow rollouts",
    ),
    Bug(
        "a failure is forgotten by the next plan",
        "rollout",
        "planning/serving/rollout.py",
        "    failures = {} if edited else _failures_on_record(candidate)\n",
        "    failures = {} if edited or status.stages else {}\n",
        story="slow rollouts",
    ),
    Bug(
        "what a pod that serves says wakes nobody",
        "missed event",
        "engine/routes.py",
        '    if kind == "Event":\n        return\n',
        '    if kind == "Event" or (kind == "Pod" and "mlops.dev/stage" in labels_of(manifest)):\n        return\n',
        story="slow rollouts",
    ),
    Bug(
        "a check is taken in again and again",
        "planning",
        "planning/monitor/news.py",
        "    if name == status.last_job or any(_is_of(entry, name, at) for entry in status.history):\n        return False\n",
        "",
    ),
    Bug(
        "a second run while one is active",
        "planning",
        "planning/monitor/actions.py",
        "    return None if active is None else (Reason.RUN_ACTIVE",
        '    return None if active is None or status.circuit != "Open" else (Reason.RUN_ACTIVE',
    ),
    Bug(
        "an event of a trigger is forgotten when its status is written",
        "planning",
        "planning/training/triggers.py",
        "    return TriggerEvent(name, status.last_trigger)\n",
        "    return None\n",
    ),
    # --- decisions of the loop ---
    Bug(
        "the same model again is a version",
        "no-op as progress",
        "planning/training/registering.py",
        "    if (serves := _same_model(view, step.status)) is not None:\n",
        "    if (serves := _same_model(view, step.status)) is not None and not view.run.spec.gates:\n",
        story="slow training",
    ),
    Bug(
        "a run on the same data is asked for again",
        "no-op as progress",
        "planning/monitor/retraining.py",
        "    if same is None:\n        return decision, None\n",
        "    if same is None or status.breaches:\n        return decision, None\n",
        story="slow training",
    ),
    Bug(
        "nobody looks whether there is anything new",
        "missed event",
        "planning/dataset/due.py",
        "for text in (asked, *view.asked) if",
        "for text in (asked,) if",
        story="slow training",
    ),
    Bug(
        "refused runs for one cause stop those for all",
        "one counter for several causes",
        "planning/monitor/actions.py",
        "    return next((each for each in _circuits(status) if each.verdict == cause and each.opened is not None), None)\n",
        "    return next((each for each in _circuits(status) if each.opened is not None), None)\n",
        story="several causes",
    ),
    Bug(
        "a few more rows make a run",
        "a limit that is none",
        "planning/training/growth.py",
        "        if rows * 100 < known.rows * (100 + asked):\n",
        "        if rows < known.rows:\n",
        story="growth",
    ),
    Bug(
        "a run that failed counts as what the rows have to outgrow",
        "failure as progress",
        "planning/training/growth.py",
        "        and is_true(each.status.conditions, SUCCEEDED)\n",
        "        and each.status.conditions\n",
        story="growth",
    ),
    Bug(
        "a map of the scores is fitted whatever has moved",
        "another cause",
        "planning/monitor/actions.py",
        "    if found is None or not found.can_be_mended:\n",
        "    if found is None:\n",
        story="calibration",
    ),
    Bug(
        "keys that are refused once are refused for ever",
        "no way back",
        "planning/outcome.py",
        "    final = job.exit_code == tasks.EXIT_BAD_INPUT and reason not in _MENDED_OUTSIDE\n",
        "    final = job.exit_code == tasks.EXIT_BAD_INPUT\n",
        story="revoked keys",
    ),
    Bug(
        "a template that is put back takes its first run for the newest",
        "no way back",
        "planning/training/triggers.py",
        "    if before is not None and (not say.is_over(before.status.conditions) or _serves(view, before)):\n",
        "    if before is not None:\n",
        story="ways back",
    ),
    Bug(
        "a failed run that was deleted is forgotten",
        "no way back",
        "planning/training/triggers.py",
        "    if _lost(view):\n",
        "    if _lost(view) and template.status.last_trigger is None:\n",
        story="ways back",
    ),
    Bug(
        "a retry takes the Job that failed",
        "no way back",
        "planning/training/run.py",
        "        status = status.evolve(attempts=run.status.attempts + 1)\n",
        "        status = status.evolve(attempts=run.status.attempts)\n",
        story="ways back",
    ),
    Bug(
        "a template says Ready whatever its run says",
        "false status",
        "planning/training/template_readiness.py",
        '    if said.ready == "False":\n',
        '    if said.ready == "False" and said.reason == Reason.NOT_SERVING:\n',
        story="ways back",
    ),
    Bug(
        "more pods call for a training",
        "no-op as progress",
        "planning/training/recipe.py",
        '    "register_": {"promotion", "capture"},\n',
        "",
        story="ways back",
    ),
    # --- autoscaling ---
    Bug(
        "the least number of pods is written where an autoscaler sets it",
        "two owners",
        "planning/serving/manifests.py",
        """            **({} if wanted.autoscaling else {"replicas": wanted.replicas}),\n""",
        """            "replicas": wanted.least_replicas,\n""",
        story="autoscaling",
    ),
    Bug(
        "an autoscaler stays when it is no longer wanted",
        "two owners",
        "planning/serving/planner.py",
        "        (view.autoscalers, scaled),\n",
        "",
        story="autoscaling",
    ),
    # --- canaries ---
    Bug(
        "a version takes over without its canary",
        "canary",
        "planning/serving/choosing.py",
        "    if proven or stage not in newest.stages or stage_of(newest.version, stage).canary is None:\n",
        "    if proven or stage in newest.stages:\n",
        story="canary",
    ),
    Bug(
        "a step is done before the pods are as it wants them",
        "canary",
        "planning/serving/canary.py",
        "        if record.step_since is not None or not self._is_shown(record):\n",
        "        if record.step_since is not None:\n",
        story="canary",
    ),
    Bug(
        "a candidate that is found worse keeps its weight",
        "canary",
        "planning/serving/canary.py",
        "    failures = {**candidate.failures, record.stage: failure}\n",
        "    failures = {**candidate.failures, record.stage: failure} if record.stage in candidate.passed else {}\n",
        story="canary",
    ),
    Bug(
        "what cannot be told yet counts as worse",
        "canary",
        "planning/serving/canary.py",
        """                if report.outcome == "Failed":\n""",
        """                if report.outcome != "Successful":\n""",
        story="canary",
    ),
    Bug(
        "a candidate that failed goes on where it was",
        "canary",
        "planning/serving/canary.py",
        "    if record is None or again:\n",
        "    if record is None:\n",
        story="canary",
    ),
    Bug(
        "other steps go on where the ones before were",
        "canary",
        "planning/serving/canary.py",
        "        _steps_digest(wanted),\n    )\n    return record",
        "        record.steps_digest,\n    )\n    return record",
        story="canary",
    ),
    Bug(
        "a version that never served is the stable one",
        "canary",
        "planning/serving/choosing.py",
        "        and stage in each.passed\n",
        "",
        story="canary",
    ),
    Bug(
        "pods that go down with a candidate are nobody's fault",
        "canary",
        "planning/serving/canary.py",
        "    if trouble is not None and trouble.fault is Fault.CRASH:\n",
        "    if trouble is not None and trouble.fault is Fault.MODEL:\n",
        story="canary",
    ),
    # --- rollbacks, and known faults ---
    Bug(
        "a rollback is not on record in the version",
        "rollback",
        "planning/serving/version_status.py",
        "        rolled_back=candidate.rolled_back,\n",
        "        rolled_back=(),\n",
        story="rollback",
    ),
    Bug(
        "what a person has undone is rolled back again",
        "rollback",
        "planning/monitor/rollback.py",
        """        each.stage == stage and each.ended == "Undone" for each in target.status.rolled_back\n""",
        """        each.stage == stage and each.ended is None for each in target.status.rolled_back\n""",
        story="rollback",
    ),
    Bug(
        "a version in between serves in the place of the older one",
        "rollback",
        "planning/serving/rollback.py",
        "        if older.number < each.number <= live.number and asked.stage in each.stages:\n",
        "        if each.number == live.number and asked.stage in each.stages:\n",
        story="rollback",
    ),
    Bug(
        "a rollback does not end when the older version is withdrawn",
        "rollback",
        "planning/serving/rollback.py",
        "    withdrawn = older.version.spec.withdrawn or older.competitor is not None\n",
        "    withdrawn = older.competitor is not None\n",
        story="rollback",
    ),
    Bug(
        "a monitor waits for a rollback that is over",
        "rollback",
        "planning/monitor/rollback.py",
        "    return status.evolve(rollback=None)\n",
        "    return status\n",
        story="rollback",
    ),
    Bug(
        "a fault of the data does not keep a run from being made",
        "known faults",
        "planning/monitor/actions.py",
        "    if not status.faults:\n",
        "    if status.faults:\n",
        story="rollback",
    ),
    Bug(
        "a check that finds nothing more does not mend a fault",
        "known faults",
        "planning/monitor/acting.py",
        """        elif each.type == "DataQuality" and each.result == "NotDetected":\n            known.pop(each.name, None)\n""",
        "",
        story="rollback",
    ),
)


@dataclass(frozen=True)
class Found:
    """How a planted bug was found: by which invariant, after how many seconds, cases and steps; None: it was not.

    `seed` is the last that was drawn; None if a case that is kept showed it.
    """

    bug: Bug
    invariant: str | None
    seconds: float
    cases: int
    steps: int
    seed: int | None


def plant(bug: Bug, folder: Path) -> Path:
    """Copy the operator's sources into `folder` with the bug in them; returns the folder to import from."""
    copy = folder / "operator"
    # With what is compiled already; of that, names with more behind are being written by another process.
    shutil.copytree(SOURCES, copy, ignore=shutil.ignore_patterns("*.pyc.*", "*.egg-info"))
    file = copy / "mlops" / bug.file
    text = file.read_text("utf-8")
    if text.count(bug.right) != 1:
        raise ValueError(f"{bug.name}: its place stands {text.count(bug.right)} times in {bug.file}, not once")
    file.write_text(text.replace(bug.right, bug.wrong), "utf-8")
    return copy


def search(bug: Bug, seconds: float, steps: int, seed: int) -> Found:
    """Run the simulation on a copy with the bug until an invariant breaks: the kept cases first, then new ones.

    It gives up after so many steps if there is a number, else after so many seconds.
    """
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        environment = {**os.environ, "PYTHONPATH": f"{plant(bug, Path(folder))}{os.pathsep}{ROOT}"}
        command = [sys.executable, "-m", "tests.simulation", "--first", "--kept", "--jobs", "1"]
        done = subprocess.run(
            [*command, "--seconds", str(seconds), "--steps", str(steps), "--seed", str(seed)],
            capture_output=True,
            text=True,
            env=environment,
            cwd=ROOT,
            check=False,
        )
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
    try:
        said = json.loads(last)
    except ValueError as error:
        raise RuntimeError(f"{bug.name}: the simulation ended with {done.returncode}: {done.stderr[-2000:]}") from error
    return Found(bug, said["invariant"], said["seconds"], said["cases"], said["steps"], said["seed"])


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if every bug was found, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.planted", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="for how long to look for each (default: 600)")
    parser.add_argument("--steps", type=int, default=0, help="look for so many steps, however long that takes")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default: 1)")
    parser.add_argument("bugs", nargs="*", metavar="TEXT", help="only those whose name contains one of these")
    parser.add_argument("--jobs", type=int, default=2, help="bugs side by side (default: 2)")
    options = parser.parse_args(arguments)
    chosen = [bug for bug in BUGS if not options.bugs or any(text in bug.name for text in options.bugs)]
    missed = 0
    print("| planted bug | pattern | found by | s | cases | steps | seed |\n|---|---|---|---|---|---|---|")
    with ThreadPoolExecutor(options.jobs) as pool:
        for found in pool.map(lambda bug: search(bug, options.seconds, options.steps, options.seed), chosen):
            missed += found.invariant is None
            by = f"`{found.invariant}`" if found.invariant else "**not found**"
            seed = "a kept case" if found.seed is None else str(found.seed)
            if found.invariant is None:
                seed = f"{options.seed} to {seed}" if (found.seed or 0) >= options.seed else "only kept cases"
            said = [
                found.bug.name,
                found.bug.kind,
                by,
                f"{found.seconds:.1f}",
                str(found.cases),
                f"{found.steps:,}",
                seed,
            ]
            print(f"| {' | '.join(said)} |", flush=True)
    print(f"{time.strftime('%H:%M:%S')} {len(chosen) - missed} of {len(chosen)} found", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
