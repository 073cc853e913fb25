"""The one error of the command line: a mistake of the user's, told in a sentence; exit code 2."""

from __future__ import annotations

import click

from mlops.cli.terminal import harmless


class UserError(click.ClickException):
    """Shown as `Error: …` without a traceback."""

    exit_code = 2

    def format_message(self) -> str:
        """Return the sentence: it may repeat what a file or a pod says."""
        return harmless(self.message)
