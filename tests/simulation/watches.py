"""What kopf does for an operator: a list and then a watch of each kind, which breaks, lags, repeats and forgets."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from contextvars import Context, copy_context
from random import Random

from mlops.cluster.informers import Sink
from mlops.cluster.kinds import WATCHED
from mlops.planning.plan import Manifest
from tests.simulation.api_server.server import ApiServer, Change
from tests.simulation.loop import Loop
from tests.simulation.network import Weather

_REORDERED_SECONDS, _AGAIN_SECONDS = 3.0, 15.0


class Watch:
    """The watch of one kind by one process. Events of a healthy watch come late and in order."""

    def __init__(
        self, kind: str, loop: Loop, server: ApiServer, weather: Weather, random: Random, sink: Sink, context: Context
    ) -> None:
        self._kind, self._loop, self._server = kind, loop, server
        self._weather, self._random, self._sink, self._context = weather, random, sink, context
        selector = WATCHED[kind].selector
        self._label = tuple(selector.split("=", 1)) if selector else None
        self._open = self._closed = False
        # Up to which change everything was seen, and when the last event is delivered.
        self._position, self._last = 0, 0.0
        # Until when it delivers nothing and does not know.
        self._silent_until = 0.0
        self.delivered = 0
        server.listen(self._changed)

    def begin(self) -> None:
        """List everything as it is now, and watch from there."""
        if self._closed:
            return
        for manifest in self._server.list(self._kind):
            if self._matches(manifest):
                self._deliver(None, manifest)
        self._position, self._open = self._server.version, True

    def cut(self) -> None:
        """End the stream: nothing is seen until `renew`."""
        self._open = False

    def renew(self, *, expired: bool) -> None:
        """Go on from where the stream was cut; if that is `expired` (410), list: deletions are not seen then."""
        if self._open or self._closed:
            return
        if expired:
            self.begin()
            return
        self._open = True
        changes = self._server.changes
        for change in changes[bisect_right(changes, self._position, key=lambda change: change.version) :]:
            self._changed(change)

    def close(self) -> None:
        """See nothing ever again."""
        self._open, self._closed = False, True

    def stall(self, seconds: float) -> None:
        """Hold back every event for so long."""
        self._last = max(self._last, self._loop.time() + seconds)

    def silence(self, seconds: float) -> None:
        """Lose every event for so long."""
        self._silent_until = max(self._silent_until, self._loop.time() + seconds)

    def _matches(self, manifest: Manifest | None) -> bool:
        if manifest is None or self._label is None:
            return manifest is not None
        return (manifest["metadata"].get("labels") or {}).get(self._label[0]) == self._label[1]

    def _changed(self, change: Change) -> None:
        if change.key.kind != self._kind or not self._open:
            return
        self._position = change.version
        before = self._matches(change.old)
        after = change.type != "DELETED" and self._matches(change.new)
        if not (before or after):
            return
        type_ = "MODIFIED" if before and after else "ADDED" if after else "DELETED"
        random, weather = self._random, self._weather
        if self._loop.time() < self._silent_until or random.random() < weather.events_lost:
            return
        self._deliver(type_, change.new)
        if random.random() < weather.events_doubled:
            # Again, after others have come: as when a stream is taken up from before where it was cut.
            at = self._loop.time() + _AGAIN_SECONDS * random.random()
            self._loop.call_at(at, self._sink_one, type_, change.new, context=self._context)

    def _deliver(self, type_: str | None, manifest: Manifest) -> None:
        random, weather = self._random, self._weather
        at = self._loop.time() + weather.watch_delay * random.random()
        if random.random() < weather.events_reordered:
            at += _REORDERED_SECONDS * random.random()
        else:
            at = self._last = max(at, self._last)
        self._loop.call_at(at, self._sink_one, type_, manifest, context=self._context)

    def _sink_one(self, type_: str | None, manifest: Manifest) -> None:
        self.delivered += 1
        self._sink(type_, manifest)


class Watches:
    """The watches of every kind by one process. Made and used in the process's context."""

    def __init__(self, loop: Loop, server: ApiServer, weather: Weather, random: Random, sink: Sink) -> None:
        context = copy_context()
        self._loop, self._random = loop, random
        self.by_kind = {kind: Watch(kind, loop, server, weather, random, sink, context) for kind in WATCHED}

    def start(self) -> None:
        """Begin each watch after a delay of its own."""
        for watch in self.by_kind.values():
            self._loop.call_later(0.2 * self._random.random(), watch.begin)

    def close(self) -> None:
        """See nothing ever again."""
        for watch in self.by_kind.values():
            watch.close()

    def broken(self, kinds: tuple[str, ...], seconds: float, *, expired: bool) -> None:
        """Cut the streams of some kinds for so long."""
        for kind in kinds:
            self.by_kind[kind].cut()
            self._loop.call_later(seconds, self._renewer(kind, expired))

    def _renewer(self, kind: str, expired: bool) -> Callable[[], None]:
        return lambda: self.by_kind[kind].renew(expired=expired)
