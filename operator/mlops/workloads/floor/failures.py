"""The two ways in which the work of a pod, or of its child, can fail."""

from __future__ import annotations

from mlops.api.reasons import Reason


class BadInput(Exception):
    """The input is bad and trying again cannot help: exit code 2.

    `reason` becomes that of a condition; `message` names the field, the value and the way out.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


class PassingFault(Exception):
    """Something outside is not there right now: exit code 1, the Job tries again."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


def is_panic(error: BaseException) -> bool:
    """Return whether a library in Rust gave up: its PanicException is no Exception, and is of no module to import."""
    return type(error).__name__ == "PanicException"
