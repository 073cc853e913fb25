"""`mlops history`, `verify` and `rollback`: on a state folder, and on a real API server through the real kubectl."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from mlops.api import kinds
from mlops.api.base import parse_time
from mlops.cli.main import cli
from mlops.local.clock import VirtualClock
from mlops.local.cluster import LocalCluster
from mlops.local.records import Records
from mlops.planning import model_history
from mlops.planning.history_entries import FILE
from mlops.planning.plan import Key, Manifest
from mlops.planning.views import ModelView
from tests.planning.builders import CREATED, NOW, SETTINGS, a_condition, a_live_version, digest
from tests.servers.apiserver import ApiServer
from tests.servers.process import program

ROOT = Path(__file__).resolve().parents[2]
OVER = {"time": "2026-01-10T11:40:00Z", "to": "Superseded", "reason": "version 2 took over"}
FIRST = {"time": CREATED, "to": "production", "reason": "available as rain-production"}
SECOND = {"time": "2026-01-10T11:40:00Z", "to": "production", "reason": "available as rain-production"}


def versions() -> list[Any]:
    """Return a version that was replaced by a second one, which serves."""
    over = {"stages": [], "stage": None, "conditions": [a_condition("Ready", "True", "Superseded")]}
    first = a_live_version(1, status={**over, "transitions": [OVER, FIRST]})
    return [first, a_live_version(2, status={"transitions": [SECOND]})]


def record(*of: Any, namespace: str = "team") -> Manifest:
    """Return the ConfigMap that records these versions."""
    view = ModelView(NOW, SETTINGS, namespace, "rain", versions=of, present=None)
    (segment,) = model_history.segments(view, {})
    return segment


@contextmanager
def opened(folder: Path) -> Iterator[LocalCluster]:
    """Open a state folder, which nobody else can meanwhile."""
    records = Records(folder)
    yield LocalCluster(records, VirtualClock(parse_time(CREATED)))
    records.close()


@pytest.fixture
def mlops(tmp_path: Path) -> Callable[..., Result]:
    """The command line on a state folder with both versions and their record."""
    with opened(tmp_path) as cluster:
        made = []
        for version in versions():
            manifest = version.dump()
            cluster.create_as("user", {name: value for name, value in manifest.items() if name != "status"})
            made.append(kinds.parse(cluster.set_status(Key(*version.key), manifest["status"])))
        cluster.create_as("mlops-operator", record(*made))
    return lambda *words: CliRunner().invoke(cli, [*words, "-n", "team", "--state", str(tmp_path)])


def rewritten(folder: Path, edit: Callable[[list[str]], list[str]]) -> None:
    """Edit the record as a hand would."""
    with opened(folder) as cluster:
        there = cluster.get(Key("ConfigMap", "team", "rain-history"))
        assert there is not None
        text = "".join(f"{line}\n" for line in edit(there["data"][FILE].splitlines()))
        cluster.apply_as("hand", {**there, "data": {FILE: text}})


def test_each_step_is_shown_with_its_stages_its_cause_and_its_model(mlops: Callable[..., Result]) -> None:
    lines = [line.split() for line in mlops("history", "rain").stdout.splitlines()]
    assert lines[0] == ["ENTRY", "TIME", "VERSION", "EVENT", "FROM", "TO", "CAUSE", "DIGEST", "REASON"]
    short = digest("1")[:19]
    assert lines[2] == [
        "2",
        FIRST["time"],
        "rain-v1",
        "Live",
        "production",
        "none",
        "production",
        "rollout",
        short,
        *FIRST["reason"].split(),
    ]
    assert [line[2:6] for line in lines[3:]] == [
        ["rain-v2", "Registered", "none", "none"],
        ["rain-v1", "Superseded", "production", "none"],
        ["rain-v2", "Live", "production", "none"],
    ]


@pytest.mark.parametrize(
    ("at", "version"),
    [
        pytest.param("2026-01-10T10:59:59Z", None, id="before the first"),
        pytest.param("2026-01-10T11:00:00Z", 1, id="in the second in which it entered"),
        pytest.param("2026-01-10T13:39:59+02:00", 1, id="a second before the next, by another clock"),
        pytest.param("2026-01-10T11:40:00", 2, id="in the second in which that entered"),
        pytest.param("2027-01-01", 2, id="later"),
    ],
)
def test_at_a_time_it_says_what_answered(mlops: Callable[..., Result], at: str, version: int | None) -> None:
    """By version and digest, as a table and as JSON."""
    table = mlops("history", "rain", "--at", at).stdout
    stages = json.loads(mlops("history", "rain", "--at", at, "-o", "json").stdout)["stages"]
    if version is None:
        assert table.startswith("no version was live at 2026-01-10T10:59:59Z")
        assert stages == []
        return
    assert f"production   rain-v{version}   " in table
    assert digest(str(version)) in table
    assert [(each["stage"], each["version"], each["digest"]) for each in stages] == [
        ("production", f"rain-v{version}", digest(str(version)))
    ]


def test_a_whole_record_is_verified_and_its_head_can_be_kept(mlops: Callable[..., Result]) -> None:
    """It is given back later by --head: one that never stood there is found."""
    said = mlops("verify", "rain")
    assert said.exit_code == 0, said.output
    first, head = said.stdout.splitlines()
    assert first == "rain: whole, 5 entries"
    assert head.startswith("head 5:sha256:")
    assert mlops("verify", "rain", "--head", head.removeprefix("head ")).exit_code == 0
    other = mlops("verify", "rain", "--head", f"3:{digest('f')}")
    assert (other.exit_code, "--head: entry 3 is not the one it names" in other.stdout) == (1, True)
    for wrong in ("5", "0:" + digest("f"), "5:sha256:abc", "x:" + digest("f")):
        refused = mlops("verify", "rain", "--head", wrong)
        assert (refused.exit_code, "the form is ENTRY:sha256:..." in refused.output) == (2, True)


EDITS = [
    pytest.param(lambda lines: [*lines[:2], lines[2].replace("rain", "snow"), *lines[3:]], "line 3: entry 3 was changed", id="changed"),  # noqa: E501
    pytest.param(lambda lines: lines[:1] + lines[2:], "line 2: entry 2 is missing before entry 3", id="removed"),
    pytest.param(lambda lines: [lines[1], lines[0], *lines[2:]], "line 1: entry 1 is missing before", id="swapped"),
    pytest.param(lambda lines: [*lines[:3], lines[3][:40]], "line 4: it is no entry of the chain", id="cut in a line"),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "said"), EDITS)
def test_the_first_entry_that_is_wrong_is_named(
    mlops: Callable[..., Result], tmp_path: Path, edit: Callable[[list[str]], list[str]], said: str
) -> None:
    """With exit code 1; `history` goes on, and says that it is not whole."""
    rewritten(tmp_path, edit)
    found = mlops("verify", "rain")
    assert (found.exit_code, f"ConfigMap rain-history, {said}" in found.stdout) == (1, True), found.output
    told = mlops("history", "rain")
    assert (told.exit_code, "the record is not whole: mlops verify rain says where" in told.stderr) == (0, True)


def test_a_tail_that_was_cut_off_is_found_by_the_status_of_a_version(
    mlops: Callable[..., Result], tmp_path: Path
) -> None:
    head = mlops("verify", "rain").stdout.split("head 5:")[1].strip()
    with opened(tmp_path) as cluster:
        key = Key("ModelVersion", "team", "rain-v2")
        status = (cluster.get(key) or {})["status"]
        cluster.set_status(key, {**status, "historyHead": {"entries": 5, "hash": head}})
    assert mlops("verify", "rain").exit_code == 0
    rewritten(tmp_path, lambda lines: lines[:3])
    found = mlops("verify", "rain")
    assert found.exit_code == 1
    assert "ModelVersion rain-v2, status.historyHead: entries 4 to 5 are missing at the end" in found.stdout


def test_a_rollback_prints_what_to_change_and_does_it_when_asked(mlops: Callable[..., Result], tmp_path: Path) -> None:
    """The output is YAML for Git users; nothing is done without --apply, and a manifest without the field keeps it."""
    said = mlops("rollback", "rain")
    assert said.exit_code == 0, said.output
    assert said.stdout.startswith("# production goes from rain-v2 back to rain-v1\n")
    assert "  name: rain-v2\n  namespace: team\nspec:\n  withdrawn: true\n" in said.stdout
    assert (
        """kubectl patch modelversions.mlops.dev rain-v2 -n team --type merge -p '{"spec": {"withdrawn": true}}'"""
        in said.stdout
    )
    assert _withdrawn(tmp_path) == [False, False]
    done = mlops("rollback", "rain", "--to", "rain-v1", "--apply")
    assert done.stdout == (
        "modelversion.mlops.dev/rain-v2 withdrawn\n"
        "production goes from rain-v2 back to rain-v1, by the next mlops run\n"
    )
    assert _withdrawn(tmp_path) == [False, True]


def _withdrawn(folder: Path) -> list[bool]:
    with opened(folder) as cluster:
        return [bool(each["spec"].get("withdrawn")) for each in cluster.list("ModelVersion")]


def test_without_a_way_back_a_rollback_is_refused_with_a_way_out(mlops: Callable[..., Result], tmp_path: Path) -> None:
    """Which version is meant is asked first; then why none could take over."""
    for words, said in (
        (("--to", "7"), "rain: there is no version 7; there are 1, 2"),
        (("--to", "x"), "--to 'x': no such version of rain; there are rain-v1, rain-v2"),
        (("--to", "2"), "rain: version 2 is what serves: name an older one"),
    ):
        refused = mlops("rollback", "rain", "--apply", *words)
        assert (refused.exit_code, said in refused.output) == (2, True), refused.output
    with opened(tmp_path) as cluster:
        cluster.remove(Key("ModelVersion", "team", "rain-v1"))
    assert "rain: rain-v2 is the oldest version that there is; make a ModelVersion" in mlops("rollback", "rain").output
    with opened(tmp_path) as cluster:
        gone = record_of_deletion(cluster)
        cluster.apply_as("mlops-operator", gone)
    said = mlops("rollback", "rain").output
    assert f"rain-v1 was deleted; its model is {digest('1')}: a ModelVersion with that spec.artifact.digest" in said


def record_of_deletion(cluster: LocalCluster) -> Manifest:
    """Return the record with what the next plan adds to it."""
    there = [kinds.parse(each) for each in cluster.list("ModelVersion")]
    uids = frozenset(str(each.metadata.uid) for each in there)
    history = tuple(cluster.list("ConfigMap"))
    view = ModelView(NOW, SETTINGS, "team", "rain", versions=tuple(there), history=history, present=uids)
    (segment,) = model_history.segments(view, {})
    return segment


def test_a_model_that_nothing_is_known_of_is_named_with_those_that_are(mlops: Callable[..., Result]) -> None:
    for command in ("history", "verify", "rollback"):
        refused = mlops(command, "snow")
        assert refused.exit_code == 2
        assert "nothing is known of a model 'snow' in namespace 'team'; models there: rain" in refused.output


# --- a cluster ---


@pytest.fixture
def kubectl(apiserver: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user with kubectl and a kubeconfig."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [
            {"name": "here", "cluster": {"server": apiserver.url, "certificate-authority": str(apiserver.ca)}}
        ],
        "users": [{"name": "me", "user": {"token": apiserver.token}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv("PATH", f"{Path(program('kubectl')).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))


@pytest.mark.apiserver
@pytest.mark.usefixtures("kubectl")
def test_the_same_is_said_of_a_cluster_and_done_there(apiserver: ApiServer) -> None:
    """With the rights of who calls kubectl."""
    apiserver.apply_crds([yaml.safe_load(file.read_text()) for file in sorted((ROOT / "crds").glob("*.yaml"))])
    namespace = apiserver.new_namespace()
    stored = []
    for version in versions():
        manifest = version.dump()
        manifest["metadata"] = {"name": version.metadata.name, "namespace": namespace}
        status, made = apiserver.create(manifest)
        assert status == 201, made
        status, said = apiserver.patch(made, {"status": manifest["status"]}, "status")
        assert status == 200, said
        stored.append(kinds.parse(said))
    assert apiserver.create(record(*stored, namespace=namespace))[0] == 201

    def mlops(*words: str) -> Result:
        return CliRunner().invoke(cli, [*words, "-n", namespace, "--cluster"])

    verified = mlops("verify", "rain")
    assert (verified.exit_code, verified.stdout.splitlines()[0]) == (0, "rain: whole, 5 entries"), verified.output
    assert "production   rain-v1 " in mlops("history", "rain", "--at", "2026-01-10T11:30:00Z").stdout
    done = mlops("rollback", "rain", "--apply")
    assert done.exit_code == 0, done.output
    there = apiserver.get({**versions()[1].dump(), "metadata": {"name": "rain-v2", "namespace": namespace}})[1]
    assert there["spec"]["withdrawn"] is True
    assert mlops("rollback", "snow").exit_code == 2
