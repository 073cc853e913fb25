"""The versions of a model that count for a plan: the newest, and those that can still change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from mlops.api.model_version import ModelVersion
from mlops.engine.cluster import Reader, field_of, key_of
from mlops.engine.links import NUMBERED_VERSIONS, UNSETTLED_VERSIONS, VERSIONS
from mlops.engine.routes import linked
from mlops.planning.model_history import highest_number
from mlops.planning.plan import Key, Manifest
from mlops.planning.serving.enough import decide_all
from mlops.planning.serving.planner import OWNERS

Parsed: TypeAlias = Callable[[Iterable[Manifest]], tuple[ModelVersion, ...]]
# How many numbers are asked for before all versions are taken: most of them may have been deleted.
_MOST_ASKED = 12


class Versions:
    """All versions are taken until a plan of all of them has been carried out, and again after a failure.

    So what a crash or a refusal has left undone is found, and what is deleted is recorded.
    """

    def __init__(self, reader: Reader, parsed: Parsed) -> None:
        self._reader, self._parsed = reader, parsed
        self._carried_out: set[Key] = set()
        # How often there was reason to doubt.
        self._doubts: dict[Key, int] = {}

    def mark(self, model: Key) -> int:
        """Return what `carried_out` is to be given of a plan that begins now."""
        return self._doubts.get(model, 0)

    def carried_out(self, model: Key, mark: int) -> None:
        """Take in that a plan has been carried out to its end; nothing is believed that was doubted meanwhile."""
        if self.mark(model) == mark:
            self._carried_out.add(model)

    def doubt(self, model: Key) -> None:
        """Take in that a plan was not carried out, or that a version was deleted."""
        self._carried_out.discard(model)
        self._doubts[model] = self.mark(model) + 1

    def that_count(
        self,
        namespace: str,
        model: str,
        history: Sequence[Manifest],
        *,
        stages_served: Iterable[str] = (),
        all_of_them: bool = False,
    ) -> tuple[tuple[ModelVersion, ...], bool]:
        """Return the versions, and whether these are all that there are."""
        if Key("Model", namespace, model) in self._carried_out and not all_of_them:
            found, down_to = self._newest_and_unsettled(namespace, model, history)
            if decide_all(found, down_to=down_to, stages_served=stages_served):
                return found, False
        return self._parsed(linked(VERSIONS, namespace, model, self._reader)), True

    def that_may_be_invalid(self, namespace: str, model: str) -> Sequence[Manifest]:
        """Return the versions of which it is not known yet that they parse, or that their status says they do not."""
        if Key("Model", namespace, model) in self._carried_out:
            return linked(UNSETTLED_VERSIONS, namespace, model, self._reader)
        return linked(VERSIONS, namespace, model, self._reader)

    def _newest_and_unsettled(
        self, namespace: str, model: str, history: Sequence[Manifest]
    ) -> tuple[tuple[ModelVersion, ...], int]:
        unsettled = linked(UNSETTLED_VERSIONS, namespace, model, self._reader)
        numbers = {number for each in unsettled if isinstance(number := field_of(each, "spec.version"), int)}
        highest = max(highest_number(history), *numbers, 0)
        found = {key_of(each): each for each in unsettled}
        newest = 0
        number = highest + 1
        while number > 0 and newest < OWNERS and highest - number < _MOST_ASKED:
            number -= 1
            present = self._of_number(namespace, model, number)
            newest += len(self._parsed(present))
            found |= {key_of(each): each for each in present}
        if newest < OWNERS and number > 0:
            # Most of the numbers are gone: who owns what serves is only known of all.
            return (), 0
        # Two of one number are told apart by which was first.
        for other in numbers:
            if other < number:
                found |= {key_of(each): each for each in self._of_number(namespace, model, other)}
        oldest_first = sorted(found.values(), key=_age)
        return self._parsed(oldest_first), number

    def _of_number(self, namespace: str, model: str, number: int) -> Sequence[Manifest]:
        return linked(NUMBERED_VERSIONS, namespace, f"{model}/{number}", self._reader)


def _age(manifest: Manifest) -> tuple[str, str]:
    metadata = manifest["metadata"]
    return str(metadata.get("creationTimestamp", "")), str(metadata["name"])
