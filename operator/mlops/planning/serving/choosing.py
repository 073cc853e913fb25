"""Which version may have a stage, and beside which one it is tried first."""

from __future__ import annotations

from collections.abc import Iterable

from mlops.planning.serving import rollout
from mlops.planning.serving.candidates import Candidate
from mlops.planning.serving.manifests import stage_of
from mlops.planning.views import ModelView


def choice(stage: str, candidates: Iterable[Candidate]) -> Candidate | None:
    """Return the newest version that may serve in `stage`. One that is passed over there, or has failed, is only tried
    for want of another."""
    able = [each for each in candidates if each.may_enter(stage)]
    good = [each for each in able if stage not in each.failed]
    wanted = [each for each in good if not each.is_passed_over(stage)]
    return max(wanted or good or able, key=lambda each: each.number, default=None)


def stable_beside(view: ModelView, stage: str, newest: Candidate, candidates: Iterable[Candidate]) -> Candidate | None:
    """Return the version that goes on serving in `stage` while `newest`, the choice there, has its canary; None if that
    one takes over at once.

    It does where its stage has no canary, where it has served before, where its own pods are rolled out already, and
    where no other good version has served: there is nothing to compare it with. The same holds if no pod of that other
    one answers by a fault of its own: whoever mends that does not wait for it.
    """
    proven = stage in newest.passed or stage in newest.version.status.stages
    if proven or stage not in newest.stages or stage_of(newest.version, stage).canary is None:
        return None
    present = rollout.deployment_of(view, stage)
    if present is not None and rollout.shows(present, newest):
        return None
    able = [
        each
        for each in candidates
        if each.number < newest.number
        and each.may_enter(stage)
        and stage in each.passed
        and stage not in each.failed
        and not each.is_passed_over(stage)
    ]
    stable = max(able, key=lambda each: each.number, default=None)
    return None if stable is None or rollout.is_down(view, stable, stage) else stable
