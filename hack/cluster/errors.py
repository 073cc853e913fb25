"""The one error of the cluster tool."""

from __future__ import annotations


class ClusterError(Exception):
    """What went wrong and the way out; `exit_code` is the program's: 2 where the user must mend something, else 1."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
