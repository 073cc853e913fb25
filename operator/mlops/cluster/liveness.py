"""What only a new process can mend, which is all that a liveness probe may be told.

A busy node, an API server that is away, a definition that is gone or a right that was taken away: a new process would
meet the same, later and with an empty memory. Those are told by readiness, metrics and logs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

# For how long a loop may go without a turn for anything else. Of own time, see `mlops.cluster.own_time`: a list of ten
# thousand objects is taken in within seconds of it, and a loop that hangs never comes back.
HUNG_SECONDS = 120.0


class Liveness:
    """Loops `beat`, the main loop also tells its `troubles`; `problems` may be asked by any thread.

    `clock` gives seconds of own time.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._beats: dict[str, float] = {}
        # What is wrong now, and since when. Replaced as a whole.
        self._since: Mapping[str, float] = {}
        self._red: Sequence[str] = ()

    def beat(self, loop: str) -> None:
        """Say that a loop had its turn; from the first time on it is expected to say so again."""
        self._beats[loop] = self._clock()

    def troubles(self, found: Mapping[str, float]) -> None:
        """Say what is wrong now: in words, and for how many seconds of own time it may be before it is told."""
        now = self._clock()
        self._since = {words: self._since.get(words, now) for words in found}
        lasted = {words: now - since for words, since in self._since.items()}
        self._red = [f"{words} for {lasted[words]:.0f} s" for words in found if lasted[words] > found[words]]

    def lasted(self, words: str) -> float:
        """Return for how many seconds of own time something has been wrong; 0.0 if it is not."""
        since = self._since.get(words)
        return 0.0 if since is None else self._clock() - since

    def problems(self) -> Sequence[str]:
        """Return why a new process would help."""
        now = self._clock()
        silent = {loop: now - beat for loop, beat in tuple(self._beats.items())}
        hung = [f"the loop of {loop} has hung for {age:.0f} s" for loop, age in silent.items() if age > HUNG_SECONDS]
        return [*hung, *self._red]
