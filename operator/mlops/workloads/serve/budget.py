"""One account of bytes for a whole server process: what holds memory takes from it, and gives back once."""

from __future__ import annotations


class Budget:
    """At most `limit` bytes at a time. For the event loop's thread."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def take(self, size: int, *, reserve: int = 0) -> bool:
        """Take `size` bytes, if no more than the limit and `reserve` are then taken."""
        if self.used + size > self.limit + reserve:
            return False
        self.used += size
        return True

    def give(self, size: int) -> None:
        """Give back what was taken; a negative size is taken without asking."""
        self.used -= size


class Hold:
    """What one request has taken of a budget, from its head until its answer is written."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._size = 0
        # Something was refused: what was received of the request is not whole.
        self.is_over = False

    def take(self, size: int) -> bool:
        """Take more; False, from now on, if that is too much."""
        if self.is_over or not self._budget.take(size):
            self.is_over = True
            return False
        self._size += size
        return True

    def take_little(self, size: int) -> bool:
        """Take what every request needs, health checks too: a quarter of the budget is kept for it."""
        if not self._budget.take(size, reserve=self._budget.limit // 4):
            return False
        self._size += size
        return True

    def give(self, size: int) -> None:
        """Give back a part that is not needed any more."""
        self._budget.give(size)
        self._size -= size

    def release(self) -> None:
        """Give everything back; a second time does nothing."""
        self._budget.used -= self._size
        self._size = 0


class Outgoing:
    """What was written to a connection and waits for the client to take it."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._size = 0
        self._taken = 0
        # Since when what has to be taken next waits, and how much will have been taken then.
        self._since: float | None = None
        self._goal = 0

    def note(self, size: int, now: float) -> None:
        """Note that `size` bytes wait now."""
        self._budget.used += size - self._size
        self._taken += max(0, self._size - size)
        self._size = size
        if size == 0:
            self._since = None
        elif self._since is None or self._taken >= self._goal:
            self._since, self._goal = now, self._taken + size

    def waits_longer(self, seconds: float, now: float) -> bool:
        """Whether something has waited for more than so many seconds."""
        return self._since is not None and now - self._since > seconds
