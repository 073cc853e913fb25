"""Nothing that data or a pod says steers the terminal of whoever looks."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops.cli.tables import printable
from mlops.cli.terminal import harmless
from mlops.local.records import Record, Records
from mlops.planning.plan import Key
from tests.cli.project import command, environment

# Clears the screen, sets the title, colours, asks the terminal for an answer, rings, goes back, turns the text around.
STEERING = "\x1b[2J\x1b]0;owned\x07\x1b[31mred\x9b6n\x08\x07\r\u202eback\u2066\x85\u2028\x7f"


@given(st.text())
def test_what_is_shown_has_no_control_characters(text: str) -> None:
    """Of no category of Unicode: control, format, surrogate, private, separators of lines."""
    left = {unicodedata.category(char) for char in harmless(text)} if text else set()
    assert {char for char in harmless(text) if not char.isprintable()} <= {"\n", "\t"}
    assert not left - {"Cc"} & {"Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert printable(text).isprintable()


@given(st.text(st.characters(categories=("L", "N", "P", "S"), include_characters=" \n\t")))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    """In any script."""
    assert harmless(text) == text


def _condition(message: str) -> dict[str, str]:
    return {"type": "Ready", "status": "False", "reason": "Rejected", "message": message, "lastTransitionTime": ""}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder in which everything that others may write steers."""
    folder = tmp_path / "state"
    records = Records(folder)
    meta = {"namespace": "default", "uid": "1", "generation": 1}
    status = {"conditions": [_condition(STEERING)], "transitions": []}
    run = {
        "apiVersion": "mlops.dev/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {**meta, "name": "a", "labels": {"x": STEERING}},
        "spec": {"datasetRef": {"name": "a"}, "trainer": {"estimator": {"name": STEERING}}},
        "status": status,
    }
    job = {"kind": "Job", "metadata": {**meta, "name": "a-1", "uid": "2", "ownerReferences": [{"uid": "1"}]}}
    event = {
        "kind": "Event",
        "metadata": {**meta, "name": "e", "uid": "3"},
        "regarding": {"uid": "1"},
        "type": "Warning",
        "reason": "Rejected",
        "note": STEERING,
    }
    for manifest in (run, job, event):
        key = Key(str(manifest["kind"]), "default", str(manifest["metadata"]["name"]))  # type: ignore[index]
        records.put(key, Record(manifest))
    records.close()
    log = folder / "logs" / "default" / "a-1-x" / "trainer.log"
    log.parent.mkdir(parents=True)
    log.write_text(f"before {STEERING} after\n")
    return folder


COMMANDS = [
    ("get", "all", "-o", "wide"),
    ("get", "all", "-o", "yaml"),
    ("get", "all", "-o", "json"),
    ("describe", "trun", "a"),
    ("logs", "trun", "a"),
    ("lineage", STEERING),
    ("describe", "trun", STEERING),
    ("explain", STEERING),
    ("report", STEERING),
    ("delete", "trun", STEERING),
]


@pytest.mark.parametrize(
    "words", [pytest.param(words, id=f"{number} {words[0]}") for number, words in enumerate(COMMANDS)]
)
def test_a_terminal_is_not_steered(state: Path, words: tuple[str, ...]) -> None:
    """By messages of conditions, Events, labels, logs, arguments: on a real pseudo-terminal."""
    shown = _on_a_terminal(command(*words, "--state", state) if words[0] != "explain" else command(*words))
    assert shown.strip()
    assert not [char for char in shown.replace("\r\n", "\n") if not char.isprintable() and char not in "\n\t"]


def test_logs_go_into_a_pipe_as_they_are_and_raw_if_asked(state: Path) -> None:
    """A file or another program gets what the pod wrote; a terminal gets it only by --raw."""
    words = command("logs", "trun", "a", "--state", state)
    piped = subprocess.run(words, capture_output=True, env=environment(), check=True).stdout.decode()
    assert f"before {STEERING} after" in piped
    assert r"before \x1b[2J\x1b]0;owned\x07\x1b[31mred\x9b6n\x08\x07\r\u202eback" in _on_a_terminal(words)
    assert "\x1b[2J" in _on_a_terminal([*words, "--raw"])


def _on_a_terminal(words: list[str]) -> str:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        words, stdin=theirs, stdout=theirs, stderr=theirs, env={**environment(), "TERM": "xterm"}
    )
    os.close(theirs)
    shown = b""
    while True:
        if not select.select([ours], [], [], 60)[0]:
            break
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break  # the other end is closed
        if not piece:
            break
        shown += piece
    process.wait(timeout=10)
    os.close(ours)
    return shown.decode()
