"""What is printed, and what a terminal makes of it: data, file names and pods' words must not steer it."""

from __future__ import annotations

import sys

import click

_KEPT = "\n\t"


def harmless(text: str) -> str:
    """Return the text with what would steer a terminal (escapes, control and formatting characters) spelled out."""
    return "".join(char if char.isprintable() or char in _KEPT else repr(char)[1:-1] for char in text)


def show(text: object) -> None:
    """Print a text. A terminal gets it harmless; a pipe or a file gets it as it is."""
    click.echo(harmless(str(text)) if sys.stdout.isatty() else str(text))


def note(text: str) -> None:
    """Say something beside the output, on the error stream."""
    click.echo(harmless(text), err=True)
