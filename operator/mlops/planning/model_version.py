"""ModelVersion: all versions of one model together, since stages, traffic and rollback are properties of the set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mlops.api import labels
from mlops.api.base import format_time, is_moment, parse_time
from mlops.api.conditions import READY, Condition, find
from mlops.api.model_version import ModelVersion, ModelVersionStatus, Reason, Transition
from mlops.planning import model_history, retrying
from mlops.planning import standing as stand
from mlops.planning.artifact_check import Checked, Gates, check, judge_gates
from mlops.planning.ownership import is_leaving, key_and_uid, key_of
from mlops.planning.plan import Key, Manifest, Plan
from mlops.planning.serving_manifests import PROGRESS_DEADLINE, deployment, server_name, service
from mlops.planning.standing import Standing, condition
from mlops.planning.views import ModelView

GATES_PASSED = "GatesPassed"
AVAILABLE = "Available"
SUPERSEDED = "Superseded"

_TRANSITIONS = 20


@dataclass(frozen=True)
class Candidate:
    """A version with everything that decides where it serves."""

    version: ModelVersion
    checked: Checked
    gates: Gates | None = None
    # The older object that has the same number.
    rival: ModelVersion | None = None
    passed: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()

    @property
    def number(self) -> int:
        """Return the version's number."""
        return self.version.spec.version

    @property
    def stages(self) -> list[str]:
        """Return the names of its stages in order."""
        return [stage.name for stage in self.version.spec.promotion.stages]

    @property
    def open_stages(self) -> list[str]:
        """Return the stages that its gates let it enter, one after the other."""
        return self.stages[: self.gates.open_stages] if self.gates else []

    def may_enter(self, stage: str) -> bool:
        """Return whether it may serve in `stage`: verified, gates passed, seen available in the stage before."""
        if self.rival or self.version.spec.withdrawn or stage not in self.open_stages:
            return False
        index = self.stages.index(stage)
        return index == 0 or self.stages[index - 1] in self.passed


@dataclass(frozen=True)
class Traffic:
    """Which version is wanted in each stage, and which one is live there."""

    chosen: dict[str, Candidate]
    live: dict[str, Candidate]

    def live_stages(self, candidate: Candidate) -> tuple[str, ...]:
        """Return the stages where it is live, in its own order."""
        return tuple(stage for stage in candidate.stages if _is_same(self.live.get(stage), candidate))

    def is_chosen(self, candidate: Candidate, stage: str) -> bool:
        """Return whether it is wanted in `stage`."""
        return _is_same(self.chosen.get(stage), candidate)


def _is_same(there: Candidate | None, candidate: Candidate) -> bool:
    return there is not None and there.version.metadata.name == candidate.version.metadata.name


def plan(view: ModelView) -> Plan:
    """Return what should be of all versions of one model and of what serves them."""
    present = [version for version in view.versions if not is_leaving(version)]
    if not present:
        # The Deployments and Services are owned by the versions: the garbage collector takes them.
        return Plan(apply=tuple(model_history.segments(view, {})))
    first = _first_claims(present)
    candidates = [_candidate(view, version, _rival(version, first)) for version in present]
    traffic = _traffic(view, candidates)
    again = [each.checked.look_again for each in candidates if each.checked.look_again]
    again += _looks_again(view, candidates)
    planned = sorted(((each, _status(view, each, traffic)) for each in candidates), key=_leaves)
    statuses = {key_of(each.version): status.dump() for each, status in planned}
    return Plan(
        statuses=statuses,
        apply=(*model_history.segments(view, statuses), *_servers(view, traffic, present)),
        create=tuple(manifest for each in candidates for manifest in each.checked.create),
        delete=tuple(_no_longer_wanted(view, candidates, traffic)),
        look_again=min(again, default=None),
    )


# --- who may serve ---


def _first_claims(present: Iterable[ModelVersion]) -> dict[int, ModelVersion]:
    """Return by number the object that claimed it first."""
    first: dict[int, ModelVersion] = {}
    for version in sorted(present, key=lambda each: (each.metadata.creation_timestamp or "", each.metadata.name)):
        first.setdefault(version.spec.version, version)
    return first


def _rival(version: ModelVersion, first_claims: Mapping[int, ModelVersion]) -> ModelVersion | None:
    """Return the object that claimed the same number first, if that is another one."""
    first = first_claims[version.spec.version]
    return None if first.metadata.name == version.metadata.name else first


def _candidate(view: ModelView, version: ModelVersion, rival: ModelVersion | None) -> Candidate:
    if rival is not None:
        message = f'version {version.spec.version} belongs to ModelVersion "{rival.metadata.name}"'
        unknown = condition("ArtifactVerified", "Unknown", Reason.VERSION_CONFLICT, message)
        return Candidate(version, Checked(version.status, unknown), rival=rival)
    checked = check(view, version)
    verification = checked.status.verification
    gates = judge_gates(version, verification) if verification else None
    return _observed(view, Candidate(version, checked, gates))


def _observed(view: ModelView, candidate: Candidate) -> Candidate:
    """Return the candidate with what its Deployments show: where it became available, and where it did not."""
    version, status = candidate.version, candidate.version.status
    edited = status.observed_generation != version.metadata.generation or retrying.wanted(version) is not None
    passed = set(status.passed_stages) & set(candidate.stages)
    # An edit of the spec is the user's way to have it tried again.
    failed = set() if edited else set(status.failed_stages) & set(candidate.stages)
    for stage in candidate.stages:
        there = _deployment(view, stage)
        if there is None or not _shows(there, candidate):
            continue
        if _is_available(there):
            passed.add(stage)
            failed.discard(stage)
        elif not retrying.wanted(version) and _gave_up(there) and _had_its_time(view, there, candidate):
            failed.add(stage)
    return replace(candidate, passed=frozenset(passed), failed=frozenset(failed))


def _deployment(view: ModelView, stage: str) -> Manifest | None:
    return view.deployments.get(server_name(view.model_name, stage))


def _shows(there: Manifest, candidate: Candidate) -> bool:
    """Return whether the Deployment's pods are those of this version."""
    metadata = there["spec"]["template"]["metadata"]
    return bool(
        metadata.get("labels", {}).get(labels.MODEL_VERSION) == candidate.version.metadata.name
        and metadata.get("annotations", {}).get(labels.ARTIFACT) == candidate.checked.status.artifact
    )


def _is_current(there: Manifest) -> bool:
    return bool(there.get("status", {}).get("observedGeneration", 0) >= there["metadata"].get("generation", 1))


def _is_available(there: Manifest) -> bool:
    """Return whether all pods are of the present template, and ready.

    `replicas` counts pods of the template before as well: while one is left, the ready one may be that.
    """
    status, wanted = there.get("status", {}), there["spec"].get("replicas", 1)
    updated = status.get("updatedReplicas", 0)
    return bool(
        _is_current(there)
        and updated == wanted
        and status.get("replicas", updated) == updated
        and status.get("readyReplicas", 0) >= wanted
    )


def _ready_pods(there: Manifest) -> int:
    """Return how many pods of the present template are ready at least: a Deployment counts those of any template."""
    status = there.get("status", {})
    if not _is_current(there):
        return 0
    updated = int(status.get("updatedReplicas", 0))
    of_before = int(status.get("replicas", updated)) - updated
    return min(updated, max(0, int(status.get("readyReplicas", 0)) - of_before))


def _gave_up(there: Manifest) -> bool:
    """Return whether the Deployment says that its progress deadline has passed."""
    return _is_current(there) and any(
        each["type"] == "Progressing" and each["status"] == "False"
        for each in there.get("status", {}).get("conditions", [])
    )


def _time_left(view: ModelView, there: Manifest) -> timedelta:
    """Return how much longer what the Deployment is to serve may take to become ready; none if nobody knows."""
    since = there["metadata"].get("annotations", {}).get(labels.SINCE, "")
    if not is_moment(since):
        return timedelta()
    # A moment to come is of a clock that was wrong, or of a hand.
    passed = max(timedelta(), view.now - parse_time(since))
    return max(timedelta(), timedelta(seconds=PROGRESS_DEADLINE) - passed)


def _had_its_time(view: ModelView, there: Manifest, candidate: Candidate) -> bool:
    """Return whether a Deployment that gave up did so on this candidate.

    It says so until it makes progress, also when it was given a good version in the place of the one that failed.
    """
    return _is_applied(there, candidate) and not _time_left(view, there)


def _looks_again(view: ModelView, candidates: list[Candidate]) -> Iterable[datetime]:
    """Yield when to look again at Deployments that say they gave up, of what has not had its time yet."""
    for there in view.deployments.values():
        left = _time_left(view, there)
        if left and _gave_up(there) and any(_shows(there, each) for each in candidates):
            yield view.now + left


def _since(view: ModelView, choice: Candidate, stage: str) -> str:
    """Return since when the version, as its spec is now, is to serve in the stage."""
    there = _deployment(view, stage)
    known = there["metadata"].get("annotations", {}).get(labels.SINCE, "") if there is not None else ""
    same = there is not None and _shows(there, choice) and _is_applied(there, choice)
    if retrying.wanted(choice.version):
        return format_time(view.now)
    return known if same and is_moment(known) else format_time(view.now)


# --- who serves ---


def _traffic(view: ModelView, candidates: list[Candidate]) -> Traffic:
    names = dict.fromkeys(stage for each in candidates for stage in each.stages)
    chosen = {stage: choice for stage in names if (choice := _choice(stage, candidates)) is not None}
    live = {}
    for stage, choice in chosen.items():
        there = _deployment(view, stage)
        if there is not None and _shows(there, choice) and _is_available(there):
            live[stage] = choice
        elif (before := _live_before(stage, candidates)) is not None:
            # Its pods keep answering until those of the chosen version are ready.
            live[stage] = before
    return Traffic(chosen, live)


def _choice(stage: str, candidates: list[Candidate]) -> Candidate | None:
    """Return the newest version that may serve in `stage`. One that failed there is only tried for want of another."""
    able = [each for each in candidates if each.may_enter(stage)]
    good = [each for each in able if stage not in each.failed]
    return max(good or able, key=lambda each: each.number, default=None)


def _live_before(stage: str, candidates: list[Candidate]) -> Candidate | None:
    before = [
        each
        for each in candidates
        if stage in each.version.status.stages
        and stage in each.stages
        and not each.version.spec.withdrawn
        and not each.rival
    ]
    return max(before, key=lambda each: each.number, default=None)


def _servers(view: ModelView, traffic: Traffic, owners: list[ModelVersion]) -> Iterable[Manifest]:
    for stage, choice in traffic.chosen.items():
        artifact = str(choice.checked.status.artifact)
        yield service(view.model_name, view.namespace, stage, owners)
        yield deployment(view.settings, choice.version, artifact, stage, owners, _since(view, choice, stage))


def _no_longer_wanted(view: ModelView, candidates: list[Candidate], traffic: Traffic) -> Iterable[tuple[Key, str]]:
    """Yield Deployments without a version to serve, and Services of stages that no version has any more.

    By their names: one whose labels somebody edited is mended where it serves, not deleted.
    """
    serving = {server_name(view.model_name, stage) for stage in traffic.chosen}
    known = {server_name(view.model_name, stage) for each in candidates for stage in each.stages}
    for kind, kept in ((view.deployments, serving), (view.services, known)):
        for name, there in kind.items():
            if _is_of(view, there) and name not in kept:
                yield key_and_uid(there)


def _is_of(view: ModelView, there: Manifest) -> bool:
    own = there["metadata"].get("labels", {})
    return bool(own.get(labels.MODEL) == view.model_name and own.get(labels.MANAGED_BY) == labels.MANAGER)


# --- what each version says of itself ---


def _leaves(planned: tuple[Candidate, ModelVersionStatus]) -> bool:
    """Return whether a version leaves a stage. Statuses are written one by one, those of such versions last: in
    between two are live in that stage, and never none."""
    candidate, status = planned
    return bool(set(candidate.version.status.stages) - set(status.stages))


def _status(view: ModelView, candidate: Candidate, traffic: Traffic) -> ModelVersionStatus:
    version, generation = candidate.version, candidate.version.metadata.generation
    live = traffic.live_stages(candidate)
    successor = _successor(candidate, traffic)
    standing = _standing(view, candidate, traffic, successor)
    conditions = stand.conditions(
        version.status.conditions,
        standing,
        [
            candidate.checked.verified,
            _gates_condition(candidate),
            _available_condition(view, candidate, traffic, standing),
            _superseded_condition(successor),
        ],
        now=view.now,
        generation=generation,
    )
    return candidate.checked.status.model_copy(
        update={
            "observed_generation": generation,
            "retried": retrying.wanted(version) or version.status.retried,
            "passed_stages": tuple(stage for stage in candidate.stages if stage in candidate.passed),
            "failed_stages": tuple(stage for stage in candidate.stages if stage in candidate.failed),
            "stages": live,
            "stage": live[-1] if live else None,
            "url": _url(view, live[-1]) if live else None,
            "ready_replicas": _ready_replicas(view, candidate, live[-1]) if live else None,
            "transitions": _transitions(view, candidate, live, standing),
            "conditions": conditions,
        }
    )


def _successor(candidate: Candidate, traffic: Traffic) -> Candidate | None:
    """Return the newer version that is live where this one got furthest, once this one serves nowhere."""
    wanted = any(traffic.is_chosen(candidate, stage) for stage in candidate.stages)
    if wanted or traffic.live_stages(candidate) or candidate.rival or not candidate.open_stages:
        return None
    reached = [stage for stage in candidate.stages if stage in candidate.passed]
    there = traffic.live.get(reached[-1] if reached else candidate.stages[0])
    return there if there is not None and there.number > candidate.number else None


def _standing(view: ModelView, candidate: Candidate, traffic: Traffic, successor: Candidate | None) -> Standing:
    number = candidate.number
    if candidate.rival is not None:
        return stand.stalled(
            Reason.VERSION_CONFLICT,
            f'spec.version: {number} belongs to the older ModelVersion "{candidate.rival.metadata.name}": '
            "make a ModelVersion with another number",
        )
    if candidate.version.spec.withdrawn:
        return stand.done(Reason.WITHDRAWN, "spec.withdrawn is true: it serves in no stage")
    if candidate.checked.obstacle is not None:
        return candidate.checked.obstacle
    if successor is not None:
        return stand.done(Reason.SUPERSEDED, f"version {successor.number} took over")
    failed = [stage for stage in candidate.stages if stage in candidate.failed]
    if failed:
        return stand.stalled(Reason.SERVING_FAILED, _failure_message(candidate, traffic, failed[-1]))
    if candidate.gates is not None and len(candidate.open_stages) < len(candidate.stages):
        return stand.stalled(Reason.GATES_FAILED, candidate.gates.message)
    live, last = traffic.live_stages(candidate), candidate.stages[-1]
    if last in live and (not traffic.is_chosen(candidate, last) or _serves(view, candidate, last)):
        return stand.done(Reason.SERVING, f"live in {', '.join(live)}")
    newer = traffic.live.get(last)
    serving = all(_serves(view, candidate, stage) for stage in live if traffic.is_chosen(candidate, stage))
    if live and serving and newer is not None and newer.number > number:
        # The newer one has not all of its stages: here it stays, and there it will not be again.
        return stand.done(Reason.SERVING, f"live in {', '.join(live)}; version {newer.number} took over in {last}")
    return stand.in_progress(Reason.PROGRESSING, _progress_message(view, candidate, traffic))


def _serves(view: ModelView, candidate: Candidate, stage: str) -> bool:
    """Return whether all its pods are there and ready, as the present spec wants them."""
    there = _deployment(view, stage)
    return there is not None and _shows(there, candidate) and _is_applied(there, candidate) and _is_available(there)


def _is_applied(there: Manifest, candidate: Candidate) -> bool:
    """Return whether the newest edit has reached the Deployment: the status is written before it is."""
    made_for = there["metadata"].get("annotations", {}).get(labels.GENERATION)
    return bool(made_for == str(candidate.version.metadata.generation))


def _failure_message(candidate: Candidate, traffic: Traffic, stage: str) -> str:
    kept = traffic.chosen.get(stage)
    serving = f"; version {kept.number} serves there" if kept and kept.number != candidate.number else ""
    return (
        f"{stage}: its pods did not become ready within {PROGRESS_DEADLINE} s{serving}. "
        "See their logs; any edit of spec.promotion or spec.capture tries again, or make a new version"
    )


def _progress_message(view: ModelView, candidate: Candidate, traffic: Traffic) -> str:
    for stage in candidate.stages:
        if traffic.is_chosen(candidate, stage) and not _serves(view, candidate, stage):
            there = _deployment(view, stage)
            ready = _ready_pods(there) if there and _shows(there, candidate) else 0
            wanted = next(each.replicas for each in candidate.version.spec.promotion.stages if each.name == stage)
            return f"{stage}: {ready} of {wanted} pods ready"
    newer = [each.number for each in traffic.chosen.values() if each.number > candidate.number]
    return f"version {max(newer)} is rolled out first" if newer else "waits for the stage before"


def _gates_condition(candidate: Candidate) -> Condition | None:
    if candidate.gates is None:
        return None
    passed = len(candidate.open_stages) == len(candidate.stages)
    reason = Reason.GATES_PASSED if passed else Reason.GATES_FAILED
    return condition(GATES_PASSED, "True" if passed else "False", reason, candidate.gates.message)


def _available_condition(
    view: ModelView, candidate: Candidate, traffic: Traffic, standing: Standing
) -> Condition | None:
    if candidate.gates is None:
        return None
    live = traffic.live_stages(candidate)
    if standing.reason == Reason.SERVING_FAILED and not live:
        return condition(AVAILABLE, "False", standing.reason, standing.message)
    if live and (not traffic.is_chosen(candidate, live[-1]) or _serves(view, candidate, live[-1])):
        return condition(AVAILABLE, "True", Reason.SERVING, f"live in {', '.join(live)}")
    over = standing.ready == "True" or standing.reason == Reason.SERVING_FAILED
    return condition(AVAILABLE, "False" if over else "Unknown", standing.reason, standing.message)


def _superseded_condition(successor: Candidate | None) -> Condition | None:
    if successor is None:
        return None
    return condition(SUPERSEDED, "True", Reason.SUPERSEDED, f"version {successor.number} took over")


def _transitions(
    view: ModelView, candidate: Candidate, live: tuple[str, ...], standing: Standing
) -> tuple[Transition, ...]:
    """Return the version's way with the steps of this plan in front."""
    before = candidate.version.status
    time = format_time(view.now)
    steps = [
        Transition(time=time, to=stage, reason=f"available as {server_name(view.model_name, stage)}")
        for stage in live
        if stage not in before.stages
    ]
    steps += [
        Transition(time=time, to="Failed", reason=f"{Reason.SERVING_FAILED} in {stage}")
        for stage in sorted(candidate.failed - set(before.failed_stages))
    ]
    ready = find(before.conditions, READY)
    for reason in (Reason.SUPERSEDED, Reason.WITHDRAWN):
        if before.conditions and standing.reason == reason and (ready is None or ready.reason != reason):
            steps.append(Transition(time=time, to=str(reason), reason=standing.message[:256]))
    return (*reversed(steps), *before.transitions)[:_TRANSITIONS]


def _url(view: ModelView, stage: str) -> str:
    """Return where the stage answers: what the node says of the Service, else its name in the cluster."""
    name = server_name(view.model_name, stage)
    there = view.services.get(name, {})
    ingress = there.get("status", {}).get("loadBalancer", {}).get("ingress") or [{}]
    host = ingress[0].get("ip") or ingress[0].get("hostname")
    if not host:
        return f"http://{name}.{view.namespace}.svc"
    ports = ingress[0].get("ports") or [{"port": 80}]
    port = ports[0]["port"]
    return f"http://{host}" if port == 80 else f"http://{host}:{port}"


def _ready_replicas(view: ModelView, candidate: Candidate, stage: str) -> int | None:
    there = _deployment(view, stage)
    if there is None or not _shows(there, candidate):
        return None
    return int(there.get("status", {}).get("readyReplicas", 0))
