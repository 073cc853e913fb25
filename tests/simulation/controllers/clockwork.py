"""Virtual time for the controllers: alarms, random delays, and whether anything is still under way."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from datetime import datetime
from random import Random
from typing import Protocol

from mlops.api.base import format_time
from mlops.planning.plan import Key


class Timer(Protocol):
    """What calls back after a while; an asyncio loop is one."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> object:
        """Call `callback` after `delay` seconds."""

    def time(self) -> float:
        """Return the current time in seconds."""


class Alarm:
    """Something that will be done, unless it is called off."""

    def __init__(self, clockwork: Clockwork, action: Callable[[], None], *, counts: bool) -> None:
        self._clockwork, self._action, self.counts = clockwork, action, counts
        self.over = False
        clockwork.under_way += counts

    def ring(self) -> None:
        """Do it."""
        if not self.over:
            self.call_off()
            self._action()

    def call_off(self) -> None:
        """Do not do it."""
        if not self.over:
            self.over = True
            self._clockwork.under_way -= self.counts


class Clockwork:
    """One for all controllers; `under_way` counts what they still have to do."""

    def __init__(self, timer: Timer, now: Callable[[], datetime], random: Random) -> None:
        self._timer, self.now, self.random = timer, now, random
        self.under_way = 0
        # Changes are told from within whoever made them. What follows of them here must not carry their mark: it goes
        # on when the process that wrote is stopped or killed.
        self._home = copy_context()

    def stamp(self) -> str:
        """Return the current time as statuses write it."""
        return format_time(self.now())

    def after(self, delay: float, action: Callable[[], None], *, counts: bool = True) -> Alarm:
        """Have `action` done after `delay` seconds; what does not count keeps nobody from being settled."""
        alarm = Alarm(self, action, counts=counts)
        self._home.run(self._timer.call_later, max(0.0, delay), alarm.ring)
        return alarm

    def between(self, low: float, high: float) -> float:
        """Draw a number of seconds."""
        return self.random.uniform(low, high)


class Reactions:
    """Objects to look at, each after a random delay: one look, however many changes came in between."""

    def __init__(
        self, clockwork: Clockwork, react: Callable[[Key], None], *, delays: tuple[float, float] = (0.002, 1.0)
    ) -> None:
        self._clockwork, self._react, self._delays = clockwork, react, delays
        self._soon: dict[Key, Alarm] = {}
        self._later: dict[Key, Alarm] = {}

    def add(self, key: Key) -> None:
        """Look at `key` soon."""
        if key not in self._soon:
            # Mostly at once, now and then as slowly as a busy controller.
            delay = self._clockwork.between(*self._delays) * self._clockwork.random.random() ** 2
            self._soon[key] = self._clockwork.after(delay, lambda: self._take(key))

    def add_after(self, key: Key, delay: float, *, counts: bool = True) -> None:
        """Look at `key` after so many seconds; this takes the place of an earlier such wish."""
        self.forget_later(key)
        self._later[key] = self._clockwork.after(delay, lambda: self._take_later(key), counts=counts)

    def forget_later(self, key: Key) -> None:
        """Take back an `add_after`."""
        if alarm := self._later.pop(key, None):
            alarm.call_off()

    def _take(self, key: Key) -> None:
        del self._soon[key]
        self._react(key)

    def _take_later(self, key: Key) -> None:
        del self._later[key]
        self.add(key)
