"""Which version of a model is wanted in each stage, and which one is live there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlops.planning.serving import rollout
from mlops.planning.serving.candidates import Candidate
from mlops.planning.serving.choosing import choice, stable_beside
from mlops.planning.views import ModelView


@dataclass(frozen=True)
class Traffic:
    """Which version is wanted in each stage, which one is live there, and which one is tried beside the one that is
    wanted."""

    chosen: dict[str, Candidate]
    live: dict[str, Candidate]
    tried: Mapping[str, Candidate] = field(default_factory=dict)

    def live_stages(self, candidate: Candidate) -> tuple[str, ...]:
        """Return the stages where it is live, in its own order."""
        return tuple(stage for stage in candidate.stages if _is_same(self.live.get(stage), candidate))

    def is_chosen(self, candidate: Candidate, stage: str) -> bool:
        """Return whether it is wanted in `stage`."""
        return _is_same(self.chosen.get(stage), candidate)


def _is_same(present: Candidate | None, candidate: Candidate) -> bool:
    return present is not None and present.version.metadata.name == candidate.version.metadata.name


def traffic(view: ModelView, candidates: list[Candidate]) -> Traffic:
    """Return what is wanted and what is live."""
    names = dict.fromkeys(stage for each in candidates for stage in each.stages)
    chosen, tried = dict[str, Candidate](), dict[str, Candidate]()
    for stage in names:
        newest = choice(stage, candidates)
        if newest is None:
            continue
        stable = stable_beside(view, stage, newest, candidates)
        trial = newest.trial if newest.trial is not None and newest.trial.stage == stage else None
        chosen[stage] = newest if stable is None or (trial is not None and trial.is_over) else stable
        if chosen[stage] is not newest:
            tried[stage] = newest
    live = {}
    for stage, wanted in chosen.items():
        present = rollout.deployment_of(view, stage)
        if present is not None and rollout.shows(present, wanted) and rollout.is_available(present):
            live[stage] = wanted
        elif (before := _live_before(view, stage, candidates)) is not None:
            # Its pods keep answering until those of the chosen version are ready.
            live[stage] = before
    return Traffic(chosen, live, tried)


def _live_before(view: ModelView, stage: str, candidates: list[Candidate]) -> Candidate | None:
    before = [
        each
        for each in candidates
        if stage in each.version.status.stages
        and stage in each.stages
        and not each.version.spec.withdrawn
        and not each.competitor
        # Of one that has failed there no pod is left, as a rule.
        and (stage not in each.failed or rollout.answers(view, each, stage))
    ]
    return max(before, key=lambda each: (not each.is_passed_over(stage), each.number), default=None)
