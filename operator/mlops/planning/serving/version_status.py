"""What each version of a model says of itself."""

from __future__ import annotations

from mlops.api.approval import Approval
from mlops.api.base import format_time
from mlops.api.conditions import READY, Condition, ConditionType, find
from mlops.api.mistakes.mistake import listed
from mlops.api.model_version import ModelVersion, ModelVersionStatus, Stage, StageFailure, Transition
from mlops.api.reasons import Reason, Reported
from mlops.planning import approving, retrying
from mlops.planning import readiness as say
from mlops.planning.readiness import Readiness, condition
from mlops.planning.serving import rollout
from mlops.planning.serving.candidates import Candidate
from mlops.planning.serving.manifests import PORTS, port_name, server_name, stage_of
from mlops.planning.serving.rollback import message_of
from mlops.planning.serving.server_pods import Fault
from mlops.planning.serving.traffic import Traffic
from mlops.planning.timestamps import seconds_between
from mlops.planning.views import ModelView

GATES_PASSED = ConditionType.GATES_PASSED
APPROVED = ConditionType.APPROVED
AVAILABLE = ConditionType.AVAILABLE
CANARY_HEALTHY = ConditionType.CANARY_HEALTHY
SUPERSEDED = ConditionType.SUPERSEDED
ROLLED_BACK = ConditionType.ROLLED_BACK

_TRANSITIONS = 20


def status_of(view: ModelView, candidate: Candidate, traffic: Traffic) -> ModelVersionStatus:
    """Return the version's whole status."""
    version, generation = candidate.version, candidate.version.metadata.generation
    live = traffic.live_stages(candidate)
    successor = _successor(candidate, traffic)
    readiness = _readiness(view, candidate, traffic, successor)
    conditions = say.conditions(
        version.status.conditions,
        readiness,
        [
            candidate.checked.verified,
            _gates_condition(candidate),
            _approved_condition(view, candidate),
            _canary_condition(candidate, traffic),
            _available_condition(view, candidate, traffic, readiness),
            _superseded_condition(candidate, successor),
            _rolled_back_condition(candidate),
        ],
        now=view.now,
        generation=generation,
    )
    return candidate.checked.status.evolve(
        observed_generation=generation,
        retried=retrying.wanted(version) or version.status.retried,
        passed_stages=tuple(stage for stage in candidate.stages if stage in candidate.passed),
        failed_stages=tuple(stage for stage in candidate.stages if stage in candidate.failed),
        failures=tuple(candidate.failures[stage] for stage in candidate.stages if stage in candidate.failed),
        rolled_back=candidate.rolled_back,
        approved_stages=tuple(stage.name for stage, _ in _granted(candidate)),
        canary=candidate.canary,
        stages=live,
        stage=live[-1] if live else None,
        url=_url(view, candidate.version, live[-1]) if live else None,
        ready_replicas=_ready_replicas(view, candidate, live[-1]) if live else None,
        cycle_seconds=_cycle_seconds(view, candidate, live),
        transitions=_transitions(view, candidate, traffic, readiness),
        conditions=conditions,
    )


def _cycle_seconds(view: ModelView, candidate: Candidate, live: tuple[str, ...]) -> int | None:
    """Return the seconds from the delivery of its data until it was first live in its last stage, once it was."""
    version = candidate.version
    lineage = version.status.lineage or version.spec.lineage
    if version.status.cycle_seconds is not None or candidate.stages[-1] not in live:
        return version.status.cycle_seconds
    first = candidate.stages[-1] not in version.status.passed_stages
    return seconds_between(lineage.data_delivered_at, view.now) if first else None


def _successor(candidate: Candidate, traffic: Traffic) -> Candidate | None:
    """Return the newer version that is live where this one got furthest, once this one serves nowhere."""
    wanted = any(traffic.is_chosen(candidate, stage) for stage in candidate.stages)
    if wanted or traffic.live_stages(candidate) or candidate.competitor or not candidate.open_stages:
        return None
    reached = [stage for stage in candidate.stages if stage in candidate.passed]
    present = traffic.live.get(reached[-1] if reached else candidate.stages[0])
    return present if present is not None and present.number > candidate.number else None


def _readiness(view: ModelView, candidate: Candidate, traffic: Traffic, successor: Candidate | None) -> Readiness:
    number = candidate.number
    if candidate.competitor is not None:
        return say.stalled(
            Reason.VERSION_CONFLICT,
            f'spec.version: {number} belongs to the older ModelVersion "{candidate.competitor.metadata.name}": '
            "make a ModelVersion with another number",
        )
    if candidate.version.spec.withdrawn:
        return say.done(Reason.WITHDRAWN, "spec.withdrawn is true: it serves in no stage")
    if candidate.checked.obstacle is not None:
        return candidate.checked.obstacle
    if successor is not None:
        return say.done(Reason.SUPERSEDED, _superseded_message(candidate, successor))
    if (passed_over := _passed_over(candidate, traffic)) is not None:
        return passed_over
    failed = [stage for stage in candidate.stages if stage in candidate.failed]
    if failed:
        failure = candidate.failures[failed[-1]]
        return say.stalled(Reported(failure.reason), _failure_message(candidate, traffic, failure))
    if candidate.gates is not None and len(candidate.open_stages) < len(candidate.stages):
        return say.stalled(Reason.GATES_FAILED, candidate.gates.message)
    if (unapproved := _unapproved(view, candidate)) is not None:
        return unapproved
    if candidate.trial is not None:
        return candidate.trial.readiness
    if refusals := _refusals(view, candidate, traffic):
        return say.stalled(Reason.POD_FORBIDDEN, f"{listed(refusals)}; its pods run without")
    live, last = traffic.live_stages(candidate), candidate.stages[-1]
    # An edit may have put a stage in front of where it is live.
    on_its_way = [stage for stage in candidate.stages if traffic.is_chosen(candidate, stage)]
    if last in live and candidate.passed.issuperset(on_its_way) and _is_served(view, candidate, traffic, last):
        return say.done(Reason.SERVING, f"live in {', '.join(live)}")
    newer = traffic.live.get(last)
    serving = all(_is_served(view, candidate, traffic, stage) for stage in live)
    if live and serving and newer is not None and newer.number > number:
        # The newer one has not all of its stages: here it stays, and there it will not be again.
        return say.done(Reason.SERVING, f"live in {', '.join(live)}; version {newer.number} took over in {last}")
    return _troubled(view, candidate, traffic) or say.in_progress(
        Reason.PROGRESSING, _progress_message(view, candidate, traffic)
    )


def _unapproved(view: ModelView, candidate: Candidate) -> Readiness | None:
    """Return that a person is waited for, once nothing but that keeps it from the next of its stages."""
    for index, stage in enumerate(candidate.stages):
        if stage in candidate.unapproved and (index == 0 or candidate.stages[index - 1] in candidate.passed):
            return say.waiting(Reason.APPROVAL_WANTED, _wanted(view, candidate))
    return None


def _wanted(view: ModelView, candidate: Candidate) -> str:
    artifact, enforced = candidate.checked.status.artifact, view.settings.approval_policy
    stages = approving.unapproved(candidate.version, artifact)
    return "; ".join(approving.wanted_in(candidate.version, each, artifact, is_enforced=enforced) for each in stages)


def _granted(candidate: Candidate) -> list[tuple[Stage, Approval]]:
    return list(approving.granted(candidate.version, candidate.checked.status.artifact))


def _approved_condition(view: ModelView, candidate: Candidate) -> Condition | None:
    """Return whether people approve of it in each stage that asks them; None if none does, or it is not verified."""
    if candidate.gates is None or all(stage.asks is None for stage in candidate.version.spec.promotion.stages):
        return None
    if candidate.unapproved:
        return condition(APPROVED, "False", Reason.APPROVAL_WANTED, _wanted(view, candidate))
    said = [f"{stage.name}: {given.user}{_note(given)}" for stage, given in _granted(candidate)]
    return condition(APPROVED, "True", Reason.APPROVED, "; ".join(said))


def _note(given: Approval) -> str:
    return f": {given.note}" if given.note else ""


def _refusals(view: ModelView, candidate: Candidate, traffic: Traffic) -> list[str]:
    """Return what the installation does not allow of the stages where the version is wanted."""
    return [
        said
        for number, stage in enumerate(candidate.version.spec.promotion.stages)
        if traffic.is_chosen(candidate, stage.name)
        for said in view.settings.pod_policy.refusals(
            stage.pod_template, f"spec.promotion.stages[{number}].podTemplate"
        )
    ]


def _passed_over(candidate: Candidate, traffic: Traffic) -> Readiness | None:
    """Return that an older version serves where this one got furthest, or is about to."""
    stages = [stage for stage in candidate.stages if candidate.is_passed_over(stage)]
    if not stages or traffic.is_chosen(candidate, stages[-1]):
        return None
    record = candidate.record_of(stages[-1])
    assert record is not None
    if stages[-1] in traffic.live_stages(candidate):
        message = f"{record.stage}: serves until {record.to} is ready, to which it is rolled back"
        return say.in_progress(Reason.PROGRESSING, message)
    return say.done(Reason.ROLLED_BACK, message_of(record))


def _rolled_back_condition(candidate: Candidate) -> Condition | None:
    said = [message_of(each) for each in candidate.rolled_back if each.ended is None]
    return condition(ROLLED_BACK, "True", Reason.ROLLED_BACK, "; ".join(said)) if said else None


def _is_served(view: ModelView, candidate: Candidate, traffic: Traffic, stage: str) -> bool:
    """Return whether the stage has what it is to have of the version that is live there.

    Of one that another is about to replace pods need not be ready in full; but if none answers, it does not serve.
    """
    if not traffic.is_chosen(candidate, stage):
        return rollout.is_answered(view, stage)
    if rollout.serves(view, candidate, stage):
        return True
    # Pods are replaced for the sake of the version that is tried beside it, or was: it goes on answering.
    tried = stage in traffic.tried or rollout.has_canary(view, stage)
    if not tried or not rollout.has_enough(view, candidate, stage):
        return False
    found = rollout.trouble(view, candidate, stage)
    return found is None or found.fault is not Fault.MODEL


def _failure_message(candidate: Candidate, traffic: Traffic, failure: StageFailure) -> str:
    kept = traffic.chosen.get(failure.stage)
    serving = f"; version {kept.number} serves there" if kept and kept.number != candidate.number else ""
    if failure.reason == Reason.CANARY_FAILED:
        return f"{failure.stage}: {failure.message}{serving}. {_ANOTHER_CANARY}"
    return (
        f"{failure.stage}: {failure.message}{serving}. "
        "See its pods' logs; any edit of spec.promotion or spec.capture tries again, or make a new version"
    )


_ANOTHER_CANARY = (
    "A retry, or any edit of spec.promotion or spec.capture, starts its canary again, or make a new version"
)


def _canary_condition(candidate: Candidate, traffic: Traffic) -> Condition | None:
    """Return how it fares beside the version that serves, or fared there; None if it is not tried."""
    trial, record = candidate.trial, candidate.canary
    if trial is not None and (record is not None or trial.readiness.reason == Reason.CANARY_WAITING):
        is_well = trial.readiness.reason == Reason.CANARY_RUNNING
        return condition(
            CANARY_HEALTHY, "True" if is_well else "Unknown", trial.readiness.reason, trial.readiness.message
        )
    failure = candidate.failures.get(record.stage) if record is not None else None
    if failure is None:
        return None
    return condition(CANARY_HEALTHY, "False", Reason.CANARY_FAILED, _failure_message(candidate, traffic, failure))


def _troubled(view: ModelView, candidate: Candidate, traffic: Traffic) -> Readiness | None:
    """Return what keeps its pods from answering where it is wanted, though it has not failed; None if nothing does.

    Trouble of the cluster passes. A model that its own pods refuse has served before and still does: the pods that
    answer stay, and somebody has to know.
    """
    live = traffic.live_stages(candidate)
    for stage in candidate.stages:
        chosen = traffic.is_chosen(candidate, stage)
        if not (chosen or stage in live) or _is_served(view, candidate, traffic, stage):
            continue
        found = (rollout.trouble if chosen else rollout.trouble_of_left)(view, candidate, stage)
        if found is None:
            continue
        message = f"{stage}: {found.message}"
        if rollout.answers(view, candidate, stage):
            message += "; its other pods answer"
        if found.fault is Fault.MODEL:
            return say.stalled(found.reason, message)
        return Readiness("False", found.reason, message, reconciling=True)
    return None


def _progress_message(view: ModelView, candidate: Candidate, traffic: Traffic) -> str:
    for stage in candidate.stages:
        if traffic.is_chosen(candidate, stage) and not rollout.serves(view, candidate, stage):
            present = rollout.deployment_of(view, stage)
            ready = rollout.ready_pods(present) if present and rollout.shows(present, candidate) else 0
            promotion = candidate.version.spec.promotion
            wanted = next(each.least_replicas for each in promotion.stages if each.name == stage)
            return f"{stage}: {ready} of {wanted} pods ready"
    for stage in candidate.stages:
        tried = traffic.tried.get(stage)
        if tried is not None and tried.number > candidate.number and candidate.may_enter(stage):
            return f"{stage}: version {tried.number} came later and is tried in its place"
    newer = [each.number for each in traffic.chosen.values() if each.number > candidate.number]
    return f"version {max(newer)} is rolled out first" if newer else "waits for the stage before"


def _gates_condition(candidate: Candidate) -> Condition | None:
    if candidate.gates is None:
        return None
    passed = len(candidate.open_stages) == len(candidate.stages)
    reason = Reason.GATES_PASSED if passed else Reason.GATES_FAILED
    return condition(GATES_PASSED, "True" if passed else "False", reason, candidate.gates.message)


def _available_condition(
    view: ModelView, candidate: Candidate, traffic: Traffic, readiness: Readiness
) -> Condition | None:
    if candidate.gates is None:
        return None
    live = traffic.live_stages(candidate)
    if live and _is_served(view, candidate, traffic, live[-1]):
        return condition(AVAILABLE, "True", Reason.SERVING, f"live in {', '.join(live)}")
    if live and not traffic.is_chosen(candidate, live[-1]):
        return condition(AVAILABLE, "False", readiness.reason, f"{live[-1]}: no pod answers")
    troubled = bool(candidate.failures) or rollout.trouble(view, candidate, (live or candidate.stages)[-1]) is not None
    if live and troubled and rollout.answers(view, candidate, live[-1]):
        return condition(AVAILABLE, "True", Reason.SERVING, f"live in {', '.join(live)}")
    over = readiness.ready == "True" or troubled
    return condition(AVAILABLE, "False" if over else "Unknown", readiness.reason, readiness.message)


def _superseded_condition(candidate: Candidate, successor: Candidate | None) -> Condition | None:
    if successor is None:
        return None
    return condition(SUPERSEDED, "True", Reason.SUPERSEDED, _superseded_message(candidate, successor))


def _superseded_message(candidate: Candidate, successor: Candidate) -> str:
    """Return which version took over first: a message that names the newest would be written again for each version."""
    said = find(candidate.version.status.conditions, SUPERSEDED)
    return said.message if said is not None else f"version {successor.number} took over"


def _transitions(
    view: ModelView, candidate: Candidate, traffic: Traffic, readiness: Readiness
) -> tuple[Transition, ...]:
    """Return the version's way with the steps of this plan in front."""
    before, live = candidate.version.status, traffic.live_stages(candidate)
    time = format_time(view.now)
    ready = find(before.conditions, READY)
    over = [
        Transition(time=time, to=str(reason), reason=readiness.message[:256])
        for reason in (Reason.SUPERSEDED, Reason.WITHDRAWN)
        if before.conditions and readiness.reason == reason and (ready is None or ready.reason != reason)
    ]
    granted = _granted(candidate)
    approved = [
        Transition(
            time=time,
            to="Approved",
            stage=stage.name,
            user=given.user,
            reason=f"{stage.name}: {given.user}{_note(given)}"[:256],
        )
        for stage, given in granted
        if stage.name not in before.approved_stages
    ]
    revoked = [
        Transition(time=time, to="Revoked", stage=stage, reason=f"{stage}: the approval is gone, or counts no more")
        for stage in before.approved_stages
        if stage in candidate.unapproved
    ]
    entered = [
        Transition(time=time, to=stage, reason=f"available as {server_name(view.model_name, stage)}")
        for stage in live
        if stage not in before.stages
    ]
    tried = [
        Transition(time=time, to="CanaryStarted", stage=record.stage, reason=f"{record.stage}: beside {record.stable}")
        for record in (candidate.canary,)
        if record is not None
        and (
            before.canary is None
            or (before.canary.stage, before.canary.started_at) != (record.stage, record.started_at)
        )
    ]
    rolled_back = [
        Transition(time=time, to="RolledBack", stage=record.stage, reason=f"{record.to}: {record.reason}"[:256])
        for record in candidate.rolled_back
        if record.ended is None and record.stage in before.stages and record.stage not in live
    ]
    left = [
        Transition(time=time, to="Left", stage=stage, reason=f"{stage}: {_why_left(candidate, stage, readiness)}"[:256])
        for stage in before.stages
        # A version that serves in its place says so itself.
        if stage not in live and stage not in traffic.live and not over
    ]
    failed = [
        Transition(time=time, to="Failed", stage=stage, reason=f"{failure.reason} in {stage}: {failure.message}"[:256])
        for stage, failure in sorted(candidate.failures.items())
        if stage not in before.failed_stages
    ]
    steps = [*approved, *revoked, *tried, *entered, *rolled_back, *left, *failed, *over]
    return (*reversed(steps), *before.transitions)[:_TRANSITIONS]


def _why_left(candidate: Candidate, stage: str, readiness: Readiness) -> str:
    if stage not in candidate.stages:
        return "spec.promotion names it no more"
    if stage in candidate.unapproved:
        return "nobody approves of it there any more"
    closed = candidate.gates is not None and stage in candidate.gates.closed
    return candidate.gates.message if candidate.gates and closed else readiness.message


def _url(view: ModelView, version: ModelVersion, stage: str) -> str:
    """Return where the stage answers: what the node says of the Service, else its name in the cluster."""
    name = server_name(view.model_name, stage)
    scheme = port_name(stage_of(version, stage))
    present = view.services.get(name, {})
    ingress = present.get("status", {}).get("loadBalancer", {}).get("ingress") or [{}]
    host = ingress[0].get("ip") or ingress[0].get("hostname")
    if not host:
        return f"{scheme}://{name}.{view.namespace}.svc"
    ports = ingress[0].get("ports") or [{"port": PORTS[scheme]}]
    port = ports[0]["port"]
    return f"{scheme}://{host}" if port == PORTS[scheme] else f"{scheme}://{host}:{port}"


def _ready_replicas(view: ModelView, candidate: Candidate, stage: str) -> int | None:
    present = rollout.deployment_of(view, stage)
    if present is None or not rollout.shows(present, candidate):
        return None
    return int(present.get("status", {}).get("readyReplicas", 0))
