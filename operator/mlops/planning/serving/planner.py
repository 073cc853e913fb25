"""ModelVersion: all versions of one model together, since stages, traffic and rollback are properties of the set."""

from __future__ import annotations

from collections.abc import Iterable

from mlops.api import labels
from mlops.api.model_version import ModelVersion, ModelVersionStatus
from mlops.planning import model_history
from mlops.planning.ownership import is_leaving, key_and_uid, key_of
from mlops.planning.plan import Key, Manifest, Plan
from mlops.planning.serving import canary, rollout
from mlops.planning.serving.artifact_check import spent
from mlops.planning.serving.canary import with_canaries
from mlops.planning.serving.candidates import Candidate, candidates
from mlops.planning.serving.manifests import autoscaler, deployment, disruption_budget, server_name, service
from mlops.planning.serving.rollback import with_rollbacks
from mlops.planning.serving.traffic import Traffic, traffic
from mlops.planning.serving.version_status import status_of
from mlops.planning.views import ModelView

# Of how many of the newest versions what serves is owned, beside those that are live or wanted.
OWNERS = 3


def plan(view: ModelView) -> Plan:
    """Return what should be of all versions of one model and of what serves them."""
    present = [version for version in view.versions if not is_leaving(version)]
    if not present:
        # The Deployments and Services are owned by the versions: the garbage collector takes them.
        return Plan(apply=tuple(model_history.segments(view, {})))
    observed = with_rollbacks(view, (rollout.observed(view, each) for each in candidates(view, present)))
    found = with_canaries(view, observed)
    wanted = traffic(view, found)
    again = [each.checked.requeue_at for each in found if each.checked.requeue_at]
    again += [each.trial.requeue_at for each in found if each.trial and each.trial.requeue_at]
    again += rollout.requeue_times(view, found)
    planned = sorted(((each, status_of(view, each, wanted)) for each in found), key=_leaves)
    statuses = model_history.with_head(view, {key_of(each.version): status for each, status in planned})
    return Plan(
        statuses=statuses,
        apply=(*model_history.segments(view, statuses), *_servers(view, wanted, _owners(present, wanted))),
        create=tuple(manifest for each in found for manifest in _jobs(each)),
        delete=(*_no_longer_wanted(view, found, wanted), *_spent(view, found), *canary.spent(view, found)),
        requeue_at=min(again, default=None),
    )


def _jobs(candidate: Candidate) -> tuple[Manifest, ...]:
    return (*candidate.checked.create, *(candidate.trial.create if candidate.trial is not None else ()))


def _leaves(planned: tuple[Candidate, ModelVersionStatus]) -> bool:
    """Return whether a version leaves a stage. Statuses are written one by one, those of such versions last: in
    between two are live in that stage, and never none."""
    candidate, status = planned
    return bool(set(candidate.version.status.stages) - set(status.stages))


def _owners(present: Iterable[ModelVersion], wanted: Traffic) -> list[ModelVersion]:
    """Return the versions that own what serves: it goes with the last version, not with the first that is deleted.

    Not all of them, which may be thousands: those that are live or wanted, and the newest. When they are deleted,
    others come in their place.
    """
    serving = {choice.version.metadata.name for choice in wanted.chosen.values()}
    newest = sorted(present, key=lambda each: (each.spec.version, each.metadata.name), reverse=True)
    return [
        each
        for number, each in enumerate(newest)
        if number < OWNERS or each.status.stages or each.metadata.name in serving
    ]


def _servers(view: ModelView, wanted: Traffic, owners: list[ModelVersion]) -> Iterable[Manifest]:
    for stage, choice in wanted.chosen.items():
        artifact = str(choice.checked.status.artifact)
        live = wanted.live.get(stage)
        yield service(choice.version, stage, owners, live.version if live else None)
        yield disruption_budget(view.model_name, view.namespace, stage, owners)
        since, tried = rollout.since(view, choice, stage), wanted.tried.get(stage)
        trial = tried.trial if tried is not None and tried.trial is not None and tried.trial.stage == stage else None
        yield deployment(view.settings, choice.version, artifact, stage, owners, since, trial)
        # After its target: of a Deployment that is not there it would say that it cannot scale.
        if (scaler := autoscaler(choice.version, stage, owners)) is not None:
            yield scaler


def _no_longer_wanted(view: ModelView, found: list[Candidate], wanted: Traffic) -> Iterable[tuple[Key, str]]:
    """Yield Deployments without a version to serve, what goes with them, and Services of stages that no version has.

    By their names: one whose labels somebody edited is mended where it serves, not deleted.
    """
    serving = {server_name(view.model_name, stage) for stage in wanted.chosen}
    known = {server_name(view.model_name, stage) for each in found for stage in each.stages}
    scaled = {
        server_name(view.model_name, stage)
        for stage, choice in wanted.chosen.items()
        if autoscaler(choice.version, stage, ()) is not None
    }
    for kind, kept in (
        (view.autoscalers, scaled),
        (view.deployments, serving),
        (view.disruption_budgets, serving),
        (view.services, known),
    ):
        for name, present in kind.items():
            if _is_of(view, present) and name not in kept:
                yield key_and_uid(present)


def _spent(view: ModelView, found: list[Candidate]) -> Iterable[tuple[Key, str]]:
    for each in found:
        yield from spent(view, each.version, each.checked.status)


def _is_of(view: ModelView, present: Manifest) -> bool:
    own = present["metadata"].get("labels", {})
    return bool(own.get(labels.MODEL) == view.model_name and own.get(labels.MANAGED_BY) == labels.MANAGER)
