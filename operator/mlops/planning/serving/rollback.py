"""Where an older version serves in the place of a newer one, because a monitor found it better on what is asked now.

A monitor asks by its own status (`status.rollback`); what it asks is taken in once, and from then on it stands in the
status of each version that is passed over. No spec is written: whoever applies the versions again changes nothing. It
ends when a newer version serves, when a person asks for a retry of the version, or when the older one is gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mlops.api.drift_monitor import Rollback
from mlops.api.model_version import RolledBack
from mlops.planning import retrying
from mlops.planning.serving.candidates import Candidate
from mlops.planning.views import ModelView


def with_rollbacks(view: ModelView, found: Iterable[Candidate]) -> list[Candidate]:
    """Return the candidates with the stages where they are passed over, or were."""
    candidates = list(found)
    kept = [replace(each, rolled_back=_kept(view, each, candidates)) for each in candidates]
    for monitor, asked in sorted(view.rollbacks.items()):
        kept = _taken_in(kept, monitor, asked)
    return kept


def _kept(view: ModelView, candidate: Candidate, candidates: list[Candidate]) -> tuple[RolledBack, ...]:
    records = candidate.version.status.rolled_back
    return tuple(_judged(view, candidate, each, candidates) for each in records if each.stage in candidate.stages)


def _judged(view: ModelView, candidate: Candidate, record: RolledBack, candidates: list[Candidate]) -> RolledBack:
    """Return the record as it holds now. What has ended does not begin again by itself."""
    if record.ended is not None:
        return record
    if retrying.wanted(candidate.version) is not None:
        return record.evolve(ended="Undone")
    older = _named(candidates, record.to, record.to_artifact)
    if older is None:
        # Where not all versions were looked at, one that is missing may be there.
        return record if view.present is None else record.evolve(ended="OlderIsGone")
    return record.evolve(ended="OlderIsGone") if _is_lost(older, record.stage) else record


def _is_lost(older: Candidate, stage: str) -> bool:
    closed = older.gates is not None and stage in older.gates.closed
    withdrawn = older.version.spec.withdrawn or older.competitor is not None
    able = stage in older.stages and stage not in older.failed and stage not in older.unapproved
    return withdrawn or closed or not able


def _named(candidates: list[Candidate], name: str, artifact: str) -> Candidate | None:
    """Return the version of that name, if it is that model: one that was deleted may have a namesake."""
    same = (each for each in candidates if each.version.metadata.name == name)
    return next((each for each in same if each.checked.status.artifact == artifact), None)


def _taken_in(candidates: list[Candidate], monitor: str, asked: Rollback) -> list[Candidate]:
    """Return the candidates with what a monitor asks for, if it still makes sense: each version after the older one is
    passed over, up to the one that was judged; those that were passed over for that one now are for the older one."""
    live = _named(candidates, asked.version, asked.artifact)
    older = _named(candidates, asked.to, asked.to_artifact)
    if live is None or older is None or not _makes_sense(live, older, asked):
        return candidates
    taken = []
    for each in candidates:
        known = each.record_of(asked.stage)
        if older.number < each.number <= live.number and asked.stage in each.stages:
            taken.append(_with(each, _record(monitor, asked)))
        elif known is not None and known.ended is None and known.to == asked.version:
            taken.append(_with(each, known.evolve(to=asked.to, to_artifact=asked.to_artifact)))
        else:
            taken.append(each)
    return taken


def _makes_sense(live: Candidate, older: Candidate, asked: Rollback) -> bool:
    known, stage = live.record_of(asked.stage), asked.stage
    # One that a person has undone is not done again, and one that was taken in is on record.
    new = known is None or (known.ended == "OlderIsGone" and known.time < asked.time)
    serves = stage in live.version.status.stages and not live.version.spec.withdrawn
    able = older.may_enter(stage) and not _is_lost(older, stage) and not older.is_passed_over(stage)
    return new and serves and able and older.number < live.number


def _record(monitor: str, asked: Rollback) -> RolledBack:
    return RolledBack(
        stage=asked.stage,
        time=asked.time,
        monitor=monitor,
        to=asked.to,
        to_artifact=asked.to_artifact,
        reason=asked.reason,
    )


def _with(candidate: Candidate, record: RolledBack) -> Candidate:
    others = (each for each in candidate.rolled_back if each.stage != record.stage)
    return replace(candidate, rolled_back=(*others, record))


def message_of(record: RolledBack) -> str:
    """Return what a version says that is passed over."""
    return (
        f"{record.stage}: rolled back to {record.to} by DriftMonitor {record.monitor}, check of {record.time}: "
        f"{record.reason}. A retry of this version undoes it"
    )
