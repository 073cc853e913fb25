"""Mistakes that `mlops` sees before anything runs: exit code 2, what is wrong and where, and nothing is made."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mlops.cli.main import cli
from mlops.cli.yaml_written import written
from tests.bad_input.api_requests import manifest_of
from tests.bad_input.catalogue import Case, cases, parameters, value_of

_FILE = "mine.yaml"


def bytes_of(written: Any) -> bytes:
    """A file's content as a case writes it: a text, what `value_of` takes, or a text in another encoding."""
    match written:
        case ["*latin-1" | "*utf-16" as encoding, str(text)]:
            return text.encode(encoding.removeprefix("*"))
    return str(value_of(written)).encode()


def invoke(case: Case, folder: Path) -> tuple[int, str, BaseException | None]:
    """Run a case's command in its folder: exit code, what it said, and what ended it."""
    for name, content in case.get("files", {}).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(bytes_of(content))
    words = case["words"] if "--state" in case["words"] else [*case["words"], "--state", "state"]
    result = CliRunner().invoke(cli, words, prog_name="mlops")
    return result.exit_code, result.output.strip(), result.exception


@pytest.mark.parametrize("case", parameters("command_line"))
def test_it_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    """Exit code 2; looking at a state that is not there does not make one."""
    monkeypatch.chdir(tmp_path)
    code, said, ended = invoke(case, tmp_path)
    assert (code, said) == (2, case["message"])
    assert isinstance(ended, SystemExit)
    assert not (tmp_path / "state").exists()


_MANIFESTS = [
    pytest.param(case, id=f"{case['category']}: {case['id']}") for case in cases("api_server") if "local" in case
]


@pytest.mark.parametrize("case", _MANIFESTS)
def test_what_an_api_server_refuses_does_not_run_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    """Exit code 2, the file, the object, the field and what is allowed."""
    monkeypatch.chdir(tmp_path)
    manifest = manifest_of(case)
    del manifest["metadata"]["namespace"]
    Path(_FILE).write_text(written(manifest))
    result = CliRunner().invoke(cli, ["run", "-f", _FILE, "--state", "state"])
    name = manifest["metadata"].get("name", "")
    head = rf'{_FILE}(:\d+)?: {manifest["kind"]} "{re.escape(name)}" is invalid: '
    if case["id"] == "too large object":
        head = f"{_FILE}: "
    assert result.exit_code == 2
    # The first word of all is click's.
    said = result.output.strip().removeprefix("Error: ").splitlines()
    assert [re.sub("^" + head, "", line) for line in said] == case["local"].splitlines()
    assert all(re.match(head, line) for line in said)
    assert isinstance(result.exception, SystemExit)
    assert not Path("state").exists()


def test_every_manifest_that_can_be_told_is_told_here_too() -> None:
    """Only what needs an object that is stored already is not: `test_conditions.py` shows one with `mlops run`."""
    assert [case["id"] for case in cases("api_server") if "local" not in case and "then" not in case] == []
