"""The commands by what they are for: their order in `mlops --help`, and the errors that a user can mend."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from mlops.cli.errors import UserError

# What the user can do something about: a folder that may not be written, a full disk, a name that is too long.
_OF_THE_USER = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOENT,
    errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP,
}  # fmt: skip
_INTERRUPTED = 130
SECTIONS: Final[Mapping[str, Sequence[str]]] = {
    "From data to a model": ("init", "validate", "plan", "run", "put"),
    "Ask a model": ("predict", "replay"),
    "Tell what moved": ("check", "simulate", "tune"),
    "See what there is": (
        "get",
        "describe",
        "lineage",
        "history",
        "verify",
        "digest",
        "logs",
        "report",
        "open",
        "explain",
    ),
    "Change what there is": ("approve", "rollback", "retry", "delete", "gc"),
}


class Commands(click.Group):
    """Tells the errors that a user can mend in a sentence; a bug keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        from mlops.local.errors import LocalError
        from mlops.store.errors import StoreError

        try:
            return super().invoke(ctx)
        except (LocalError, StoreError) as error:
            raise UserError(str(error)) from error
        except KeyboardInterrupt:
            ctx.exit(_INTERRUPTED)
        except OSError as error:
            if error.filename is None or error.errno not in _OF_THE_USER:
                raise
            raise UserError(f"{error.filename}: {error.strerror}") from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section, each with a line."""
        width = max(map(len, self.commands), default=0)
        for title, names in SECTIONS.items():
            with formatter.section(title):
                limit = formatter.width - 6 - width
                listed = [(name.ljust(width), self.commands[name].get_short_help_str(limit)) for name in names]
                formatter.write_dl(listed)
