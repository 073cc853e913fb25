"""What a state folder says of what was, of what is in use, and of servers that are gone; and who may read it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops.local.records import read_objects
from tests.cli.project import command, environment, mlops, write

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder after a run."""
    place = tmp_path_factory.mktemp("past")
    ended = mlops("run", "-f", write(place / "project"), "--state", place / "state")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return place / "state"


@pytest.fixture
def state(done: Path, tmp_path: Path) -> Path:
    """The same, to change."""
    shutil.copytree(done, tmp_path / "state")
    return tmp_path / "state"


def said(state: Path, *words: str) -> str:
    """Return what a command says that must succeed."""
    ended = mlops(*words, "--state", state)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_what_is_in_use_is_not_deleted_unasked(state: Path) -> None:
    """A live version, the data of a model: the refusal names who needs it and the way out, and deletes nothing."""
    before = said(state, "get", "all", "-o", "json")
    for words, use in (
        (("mver", "tiny-v1"), "it is live in production"),
        (("dset", "tiny"), "version tiny-v1 was trained on it"),
    ):
        refused = mlops("delete", *words, "--state", state)
        assert refused.returncode == 2
        assert f"{words[1]} is in use: {use}. Nothing was deleted; delete those first, or say --force" in refused.stderr
    assert said(state, "get", "all", "-o", "json") == before


def test_lineage_tells_of_deleted_versions(state: Path) -> None:
    """When it was live, what it was made of, and that it is gone: also when no version of the model is left."""
    version = json.loads(said(state, "get", "mver", "tiny-v1", "-o", "json"))
    since = version["status"]["transitions"][-1]["time"]
    said(state, "delete", "mver", "tiny-v1", "--force")
    text = said(state, "lineage", "tiny")
    assert text.startswith("tiny-v1   Deleted   version 1\n")
    assert version["status"]["artifact"] in text
    assert re.search(r"dataset +tiny version 1\n", text)
    assert re.search(
        rf"^production +tiny-v1 +{since} +{version['status']['artifact']}", _at(state, since), re.MULTILINE
    )
    assert _at(state, "2100-01-01").startswith("no version was live at")


def test_the_next_version_gets_a_number_of_its_own(state: Path, done: Path) -> None:
    """After the version and its run are deleted, another run makes version 2; the Dataset goes on, too."""
    for words in (("mver", "tiny-v1"), ("trun", "tiny"), ("dset", "tiny")):
        said(state, "delete", *words, "--force")
    again = mlops("run", "-f", done.parent / "project", "--state", state)
    assert again.returncode == 0, again.stdout + again.stderr
    assert said(state, "get", "mver,dset", "-o", "name").split() == [
        "modelversion.mlops.dev/tiny-v2",
        "dataset.mlops.dev/tiny",
    ]
    assert json.loads(said(state, "get", "dset", "tiny", "-o", "json"))["status"]["version"] == 2


def _at(state: Path, timestamp: str) -> str:
    return said(state, "lineage", "tiny", "--at", timestamp)


# --- who serves ---


@pytest.fixture
def serving(done: Path, tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A run that keeps serving."""
    state = tmp_path / "state"
    shutil.copytree(done, state)
    words = command("run", "-f", done.parent / "project", "--state", state, "--plain", "--keep-serving")
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment())
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Ctrl-C stops it"):
            break
    yield state, process
    process.kill()
    process.wait()
    process.stdout.close()


def _claims(state: Path) -> bool:
    """Whether any command says that something serves, and the JSON an address."""
    version = json.loads(said(state, "get", "mver", "tiny-v1", "-o", "json"))
    # Events tell what was, and may.
    described = said(state, "describe", "mver", "tiny-v1").partition("\nEVENT ")[0]
    shown = said(state, "get", "mver", "-o", "wide") + described
    claims = {"url" in version["status"], bool(version["status"]["readyReplicas"]), "http://" in shown}
    claims |= {bool(re.search(r"\bServing\b", shown))}
    assert len(claims) == 1, shown
    return claims.pop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_after_a_run_nothing_claims_to_serve(serving: tuple[Path, subprocess.Popen[str]], number: int) -> None:
    """However it ended; while it runs the address is there and answers."""
    state, process = serving
    assert _claims(state)
    (version,) = [one for one in read_objects(state) if one["kind"] == "ModelVersion"]
    with urllib.request.urlopen(f"{version['status']['url']}/v2/health/ready", timeout=5) as answer:
        assert answer.status == 200
    process.send_signal(number)
    process.wait(timeout=60)
    assert not _claims(state)
    table = mlops("get", "mver", "--state", state)
    assert re.search(r"tiny-v1 .* False +NotRunning", table.stdout)
    assert "no `mlops run` works on this folder" in table.stderr


# --- who may read ---


def _open_to_others(state: Path) -> list[Path]:
    paths = [state, *state.rglob("*")]
    return [path for path in paths if not path.is_symlink() and stat.S_IMODE(path.lstat().st_mode) & 0o077]


def test_a_state_folder_is_its_owners(tmp_path: Path) -> None:
    """Rows, models, logs and reports; whatever the umask of who runs it."""
    before = os.umask(0)
    try:
        ended = mlops("run", "-f", write(tmp_path / "project", replay=True), "--state", tmp_path / "state")
    finally:
        os.umask(before)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert _open_to_others(tmp_path / "state") == []
    assert list((tmp_path / "state" / "reports").rglob("*.html"))


def test_an_open_state_folder_is_closed_by_the_next_command(state: Path, done: Path) -> None:
    """One that an earlier release made; nobody else comes past its first level."""
    for path in (state, *state.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    said(state, "delete", "trun", "tiny")
    assert [path for path in (state, *state.iterdir()) if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_a_folder_that_holds_more_keeps_its_mode(state: Path) -> None:
    """Somebody may keep the state in a project's own folder, or in /tmp."""
    (state / "notes.txt").write_text("of somebody")
    for path in (state, state / "notes.txt", state / "store"):
        path.chmod(0o755)
    said(state, "delete", "trun", "tiny")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (state, state / "notes.txt", state / "store")]
    assert modes == [0o755, 0o755, 0o700]
