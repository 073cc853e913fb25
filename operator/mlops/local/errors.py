"""What goes wrong on the local side for a reason that the user can do something about."""

from __future__ import annotations

from pathlib import Path


class LocalError(Exception):
    """The message names what is wrong and the way out."""


class StateInUse(LocalError):
    """Another process runs on the same state folder."""

    def __init__(self, state: Path, pid: int) -> None:
        super().__init__(
            f"the state folder {state} is in use by process {pid}: "
            "wait for it, stop it (Ctrl-C), or name another folder with --state"
        )
        self.state, self.pid = state, pid


class StateUnreadable(LocalError):
    """The state folder was written by another version, or is no state folder."""


class NotSettled(LocalError):
    """Something was still moving when the time was up; `moving` names it."""

    def __init__(self, seconds: float, moving: list[str]) -> None:
        super().__init__(f"still moving after {seconds:g} s: {', '.join(moving)}")
        self.moving = moving
