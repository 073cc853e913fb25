"""`mlops approve` on a state folder: it records who says so, and refuses by the same rule as in a cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mlops.api import kinds
from mlops.api.base import parse_time
from mlops.api.model_version import ModelVersion
from mlops.cli.approve import person
from mlops.cli.approve.person import Person, signed
from mlops.cli.main import cli
from mlops.local.clock import VirtualClock
from mlops.local.cluster import LocalCluster
from mlops.local.records import Records
from mlops.planning.approving import is_approved
from mlops.planning.plan import Key
from tests.planning.builders import CREATED, a_live_version, a_run, a_version, digest

ASKS = {"promotion": {"stages": [{"name": "dev"}, {"name": "production", "approval": {"group": "staff"}}]}}
WAITS: dict[str, Any] = {"stages": ["dev"], "stage": "dev", "passedStages": ["dev"]}
BY_ALICE = {"annotations": {"mlops.dev/authors": "alice"}}
WORDS = ("approve", "rain", "--apply")


def waiting(number: int, **changes: Any) -> Any:
    """Return a version of alice's that waits for approval in production."""
    return a_live_version(number, spec=ASKS, metadata=changes.pop("metadata", BY_ALICE), status=WAITS, **changes)


Put = Callable[..., Callable[..., Result]]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Make a state folder with these versions, and return the command line on it."""

    def make(*versions: ModelVersion) -> Callable[..., Result]:
        records = Records(tmp_path)
        cluster = LocalCluster(records, VirtualClock(parse_time(CREATED)))
        for version in versions:
            manifest = version.dump()
            cluster.create_as("user", {name: value for name, value in manifest.items() if name != "status"})
            cluster.set_status(Key(*version.key), manifest["status"])
        records.close()
        return lambda *words: CliRunner().invoke(cli, [*words, "-n", "team", "--state", str(tmp_path)])

    return make


@pytest.fixture(autouse=True)
def bob(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the command is bob, of group staff."""
    monkeypatch.setattr(person, "of_machine", lambda: Person("bob", frozenset({"bob", "staff"})))


def version_of(folder: Path, name: str) -> ModelVersion:
    records = Records(folder)
    manifest = LocalCluster(records, VirtualClock(parse_time(CREATED))).get(Key("ModelVersion", "team", name))
    records.close()
    parsed = kinds.parse(manifest or {})
    assert isinstance(parsed, ModelVersion)
    return parsed


def test_it_says_what_would_be_written_and_writes_it_when_asked(put: Put, tmp_path: Path) -> None:
    """Of the newest version that wants it, in the stage that asks; and it says that nothing checks it here."""
    mlops = put(waiting(1), waiting(2))
    said = mlops("approve", "rain")
    assert said.exit_code == 0, said.output
    assert said.stdout.startswith(f"# rain-v2 is approved in production by bob: {digest('2')}\n")
    assert "nothing checks who writes it" in said.stdout
    assert "mlops approve rain --version rain-v2 --stage production --apply" in said.stdout
    assert not is_approved(version_of(tmp_path, "rain-v2"), "production")
    done = mlops(*WORDS, "--note", "looked at it")
    assert done.exit_code == 0, done.output
    written = version_of(tmp_path, "rain-v2")
    assert is_approved(written, "production")
    (given,) = written.spec.approvals
    assert (given.user, given.note, given.artifact) == ("bob", "looked at it", digest("2"))
    assert given.time is not None
    assert mlops(*WORDS, "--version", "1").exit_code == 0
    assert mlops(*WORDS).output.strip().endswith("rain: no version wants an approval; --version names one")


def test_what_somebody_else_gave_stays(put: Put, tmp_path: Path) -> None:
    """An approval is added, none is replaced: here that of an author, which does not count."""
    own = {"stage": "production", "user": "alice", "artifact": digest("1")}
    mlops = put(waiting(1).evolve(spec=waiting(1).spec.evolve(approvals=_approvals(own))))
    assert mlops(*WORDS).exit_code == 0
    assert [each.user for each in version_of(tmp_path, "rain-v1").spec.approvals] == ["alice", "bob"]


def _approvals(*given: dict[str, str]) -> Any:
    parsed = kinds.parse(a_version(1, spec={**ASKS, "approvals": list(given)}).dump())
    assert isinstance(parsed, ModelVersion)
    return parsed.spec.approvals


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("--version", "7"), "--version '7': no such version of rain; there are rain-v1", id="no version"),
        pytest.param(("--stage", "dev"), "--stage 'dev': rain-v1 has no such stage that asks", id="asks nobody"),
        pytest.param(("--note", "n" * 257), "--note has 257 characters: at most 256", id="a long note"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(put: Put, words: tuple[str, ...], said: str) -> None:
    extra = ("--version", "rain-v1") if words[0] == "--stage" else ()
    refused = put(waiting(1))(*WORDS, *words, *extra)
    assert (refused.exit_code, said in refused.output) == (2, True), refused.output


@pytest.mark.parametrize(
    ("version", "said"),
    [
        pytest.param(
            waiting(1, metadata={"annotations": {"mlops.dev/authors": "alice,bob"}}),
            "rain-v1, production: bob is an author of it: have somebody else of group staff approve",
            id="an author",
        ),
        pytest.param(waiting(1, metadata={}), "it is not known who wrote it: have whoever did set", id="nobody known"),
        pytest.param(
            a_live_version(
                1,
                spec={"promotion": {"stages": [{"name": "production", "approval": {"group": "ml-approvers"}}]}},
                metadata=BY_ALICE,
            ),
            "bob is not in group ml-approvers (in bob, staff): have somebody of it approve",
            id="outside of the group",
        ),
    ],
)
def test_who_may_not_approve_is_told_who_may(put: Put, version: ModelVersion, said: str) -> None:
    refused = put(version)(*WORDS)
    assert (refused.exit_code, said in refused.output) == (2, True), refused.output


def test_a_version_that_is_approved_is_told_by_whom(put: Put) -> None:
    mlops = put(waiting(1))
    assert mlops(*WORDS).exit_code == 0
    again = mlops(*WORDS, "--version", "1")
    assert (again.exit_code, "rain-v1: it is approved already: production by bob" in again.output) == (2, True)


def test_whoever_runs_is_the_author_where_somebody_else_is_asked_for() -> None:
    """Of what asks nobody the manifest stays as it is, and so does a name that stands there."""
    run = a_run(spec={"register": ASKS}).dump()
    assert signed(run)["metadata"]["annotations"] == {"mlops.dev/authors": "bob"}
    assert signed(waiting(1).dump())["metadata"]["annotations"] == {"mlops.dev/authors": "alice"}
    for plain in (a_run().dump(), a_version(1).dump()):
        assert signed(plain) is plain
