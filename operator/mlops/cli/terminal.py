"""What is printed, and what a terminal makes of it: data, file names and pods' words must not steer it."""

from __future__ import annotations

import sys

import click

_KEPT = "\n\t"


def harmless(text: str) -> str:
    """Return the text with what would steer a terminal (escapes, control and formatting characters) spelled out."""
    return "".join(char if char.isprintable() or char in _KEPT else repr(char)[1:-1] for char in text)


def show(text: object, *, raw: bool = False) -> None:
    """Print a text. A terminal gets it harmless, unless `raw`; a pipe or a file gets it as it is."""
    # Else click would leave the escapes out, and only those.
    click.echo(str(text) if raw or not sys.stdout.isatty() else harmless(str(text)), color=True)


def note(text: str) -> None:
    """Say something beside the output, on the error stream."""
    click.echo(harmless(text), err=True)
