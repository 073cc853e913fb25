"""The one error of the command line: a mistake of the user's, told in a sentence; exit code 2."""

from __future__ import annotations

import click


class UserError(click.ClickException):
    """Shown as `Error: …` without a traceback."""

    exit_code = 2
