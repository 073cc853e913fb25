"""Approval by people, held by a real API server with the chart's policies: each way round the rule is refused."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mlops.api import crd, kinds
from mlops.api.model_version import ModelVersion
from mlops.cli.main import cli
from mlops.planning.approving import is_approved
from tests.chart.helm import NAMESPACE, objects
from tests.cluster.access import grant, kubeconfig, token_for
from tests.servers.apiserver import JSON, MERGE_PATCH, ApiServer, Object, api_server
from tests.servers.process import program

pytestmark = pytest.mark.apiserver

DIGEST, OTHER = ("sha256:" + letter * 64 for letter in "ab")
RULE = {"group": "ml-approvers"}
STAGES = [{"name": "dev"}, {"name": "production", "approval": RULE}]
AUTHORS = "mlops.dev/authors"
GUARDED = {"approval": {"stages": [{"stage": "live", "group": "ml-approvers"}]}}
RBAC = "rbac.authorization.k8s.io"


@dataclass
class Place:
    """A namespace, and who works in it."""

    server: ApiServer
    namespace: str
    operator: ApiServer

    def of(self, name: str) -> ApiServer:
        return self.operator if name == "operator" else self.server.acting_as(name)

    def version(self, name: str = "rain-v1", author: str | None = "alice", **spec: Any) -> Object:
        """Return a ModelVersion whose production asks for approval, as its author writes it."""
        number = int(name.rpartition("-v")[2])
        wanted = {"modelName": "rain", "version": number, "artifact": {"digest": DIGEST}}
        wanted |= {"promotion": {"stages": STAGES}, **spec}
        return self._object("ModelVersion", name, author, {k: v for k, v in wanted.items() if v is not None})

    def run(self, name: str = "rain", author: str | None = "alice", **spec: Any) -> Object:
        """Return a template whose versions ask for approval in production."""
        wanted = {
            "datasetRef": {"name": "weather"},
            "trainer": {"estimator": {"name": "LogisticRegression"}},
            "register": {"modelName": "rain", "promotion": {"stages": STAGES}},
            "triggers": [{"templateChange": {}}],
        }
        return self._object("TrainingRun", name, author, {**wanted, **spec})

    def _object(self, kind: str, name: str, author: str | None, spec: Object) -> Object:
        metadata: Object = {"name": name, "namespace": self.namespace}
        if author is not None:
            metadata["annotations"] = {AUTHORS: author}
        return {"apiVersion": "mlops.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def approval(user: str = "bob", stage: str = "production", artifact: str = DIGEST, **more: str) -> Object:
    return {"stage": stage, "user": user, "artifact": artifact, **more}


def approvals(*given: Object) -> Object:
    return {"spec": {"approvals": list(given)}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("approval")) as started:
        started.apply_crds(crd.crds().values())
        for each in objects(GUARDED):
            if each["kind"].startswith("ValidatingAdmissionPolicy"):
                status, answer = started.apply(each)
                assert status == 201, answer
        _let_people_edit(started)
        started.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        _wait_until_held(started)
        yield started


def _let_people_edit(server: ApiServer) -> None:
    """Everybody may write the four kinds and even their status: what is refused below is refused by the policies."""
    names = ["modelversions", "trainingruns"]
    rules = [
        {"apiGroups": ["mlops.dev"], "resources": [*names, *(f"{each}/status" for each in names)], "verbs": ["*"]},
    ]
    role = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": "editors"}, "rules": rules}
    bound = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "editors"},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "editors"},
        "subjects": [{"kind": "Group", "apiGroup": RBAC, "name": "system:authenticated"}],
    }
    for each in (role, bound):
        assert server.apply(each)[0] == 201


def _wait_until_held(server: ApiServer) -> None:
    """A policy holds a little after it is written."""
    there = Place(server, "default", server)
    deadline = time.monotonic() + 60
    for wrong in (there.version(author="nobody"), there.run(author="nobody")):
        while server.create(wrong, dryRun="All")[0] == 201:
            assert time.monotonic() < deadline, "the policies are not taken in"
            time.sleep(0.2)


@pytest.fixture
def place(server: ApiServer) -> Place:
    namespace = server.new_namespace()
    token, user = token_for(server, NAMESPACE, "mlops-operator")
    grant(server, user, (namespace,))
    return Place(server, namespace, server.with_token(token))


@pytest.fixture
def made(place: Place) -> Object:
    """A version that alice wrote."""
    status, answer = place.of("alice").create(place.version())
    assert status == 201, answer
    return place.version()


def test_an_honest_approval_goes_through_and_counts(place: Place, made: Object) -> None:
    """Bob is in the group, and no author."""
    status, answer = place.of("bob").patch(made, approvals(approval(note="looked at it")))
    assert status == 200, answer
    version = kinds.parse(answer)
    assert isinstance(version, ModelVersion)
    assert is_approved(version, "production")
    assert is_approved(version, "dev")


Attack = Callable[[Place, Object], tuple[int, Object]]


def _patch(name: str, change: Object, **query: str) -> Attack:
    return lambda place, made: place.of(name).patch(made, change, **query)


def _stages(*stages: Object, **spec: Any) -> Object:
    return {"spec": {"promotion": {"stages": list(stages)}, **spec}}


def _apply(name: str, spec: Object, manager: str) -> Attack:
    def act(place: Place, made: Object) -> tuple[int, Object]:
        partial = {key: made[key] for key in ("apiVersion", "kind")}
        metadata = {key: made["metadata"][key] for key in ("name", "namespace")}
        return place.of(name).apply({**partial, "metadata": metadata, **spec}, manager=manager)

    return act


def _made_again(place: Place, made: Object) -> tuple[int, Object]:
    assert place.of("alice").delete(made)[0] == 200
    return place.of("alice").create(place.version(approvals=[approval("bob")]))


def _impersonated(place: Place, made: Object) -> tuple[int, Object]:
    """Who may not impersonate gets no further by saying so."""
    return place.of("mallory").request(
        "PATCH",
        place.server._path(made),
        approvals(approval("bob")),
        MERGE_PATCH,
        headers={"Impersonate-User": "bob", "Impersonate-Group": "ml-approvers"},
    )


OWN_GROUP = {"name": "production", "approval": {"group": "developers"}}
NO_RULE = {"name": "production"}

ROUND = {
    "the author approves": (_patch("alice", approvals(approval("alice"))), "alice is an author of this version"),
    "in the name of another": (_patch("alice", approvals(approval("bob"))), "you are alice: nobody approves in the"),
    "in the name of another, of the group": (_patch("carol", approvals(approval("bob"))), "you are carol"),
    "outside of the group": (_patch("mallory", approvals(approval("mallory"))), "mallory is not in the group"),
    "of another model": (_patch("bob", approvals(approval(artifact=OTHER))), f"the model of this version is {DIGEST}"),
    "in a stage that asks nobody": (_patch("bob", approvals(approval(stage="dev"))), "the stage asks nobody"),
    "in a stage that is not there": (_patch("bob", approvals(approval(stage="prod"))), "the stage asks nobody"),
    "one honest, one not": (_patch("bob", approvals(approval("bob"), approval("carol"))), "you are bob"),
    "the rule is taken out": (_patch("alice", _stages({"name": "dev"}, NO_RULE)), "must stay and ask for the same"),
    "the rule is switched off": (
        _patch("alice", _stages({"name": "production", "approval": {**RULE, "required": False}})),
        "must stay and ask for the same",
    ),
    "another group": (_patch("mallory", _stages(OWN_GROUP)), "must stay and ask for the same"),
    "another group, and an approval of it at once": (
        _patch("mallory", _stages(OWN_GROUP, approvals=[approval("mallory")])),
        "must stay and ask for the same",
    ),
    "authors may approve": (
        _patch("alice", _stages({"name": "production", "approval": {**RULE, "notAuthor": False}})),
        "must stay and ask for the same",
    ),
    "the stage is taken out": (_patch("alice", _stages({"name": "dev"})), "must stay and ask for the same"),
    "the stages are taken out": (_patch("alice", {"spec": {"promotion": None}}), "must stay and ask for the same"),
    "the stage has another name": (
        _patch("alice", _stages({"name": "dev"}, {"name": "prod"})),
        "must stay and ask for the same",
    ),
    "the author goes": (_patch("alice", {"metadata": {"annotations": {AUTHORS: None}}}), "take no other away"),
    "the author is another": (
        _patch("alice", {"metadata": {"annotations": {AUTHORS: "mallory"}}}),
        "take no other away",
    ),
    "somebody else is made an author": (
        _patch("mallory", {"metadata": {"annotations": {AUTHORS: "alice,bob"}}}),
        "write your own name only",
    ),
    "all annotations go, and an approval comes": (
        _patch("alice", {"metadata": {"annotations": None}, **approvals(approval("alice"))}),
        "is not known who wrote",
    ),
    "by another field manager": (
        _apply("alice", approvals(approval("bob")), "argocd-controller"),
        "you are alice",
    ),
    "another group by another field manager": (
        _apply("mallory", _stages(OWN_GROUP), "kubectl"),
        "must stay and ask for the same",
    ),
    "a dry run": (_patch("alice", approvals(approval("alice")), dryRun="All"), "alice is an author of this version"),
    "deleted, and made again with an approval": (_made_again, "a version has none when it is made"),
    "by impersonation without the right": (_impersonated, "cannot impersonate"),
    "by the operator's account": (
        _patch("operator", approvals(approval("bob"))),
        "is not in the group|you are system:",
    ),
}


@pytest.mark.parametrize("way", ROUND)
def test_no_way_leads_round_the_rule(place: Place, made: Object, way: str) -> None:
    """Whoever tries is told why, and nothing of it is written."""
    act, said = ROUND[way]
    status, answer = act(place, made)
    assert status in (403, 422), answer
    assert any(each in answer["message"] for each in said.split("|")), answer["message"]
    status, kept = place.server.get(made)
    assert status == 404 or not kept["spec"].get("approvals")


@pytest.mark.parametrize("what", ["status", "labels"])
def test_what_is_written_elsewhere_approves_nothing(place: Place, made: Object, what: str) -> None:
    """A status that says so, with the right to write it, and a label: neither reaches spec.approvals."""
    alice = place.of("alice")
    if what == "status":
        forged = {"status": {"approvedStages": ["production"]}, **approvals(approval("bob"))}
        status, answer = alice.patch(made, forged, "status")
    else:
        status, answer = alice.patch(made, {"metadata": {"labels": {"mlops.dev/approved": "bob"}}})
    assert status == 200, answer
    version = kinds.parse(answer)
    assert isinstance(version, ModelVersion)
    assert not is_approved(version, "production")


def test_there_is_no_scale_of_a_version(place: Place, made: Object) -> None:
    """A subresource by which its stages could be edited."""
    status, _ = place.server.request("PATCH", place.server._path(made, "scale"), {"spec": {}}, MERGE_PATCH)
    assert status == 404


# --- once it is approved ---


@pytest.fixture
def approved(place: Place, made: Object) -> Object:
    status, answer = place.of("bob").patch(made, approvals(approval(note="fine")))
    assert status == 200, answer
    return made


AFTER = {
    "edited by another": (_patch("alice", approvals(approval(note="great"))), "is not edited"),
    "edited by whoever gave it": (_patch("bob", approvals(approval(note="great"))), "is not edited"),
    "turned to another model": (_patch("bob", approvals(approval(artifact=OTHER))), "is not edited"),
    "taken away by somebody outside": (_patch("mallory", approvals()), "taken away by who gave it"),
    "one more of the author": (
        _patch("alice", approvals(approval(note="fine"), approval("alice"))),
        "alice is an author",
    ),
    "another model in the version": (
        _patch("alice", {"spec": {"artifact": {"digest": OTHER}}}),
        "artifact, source and lineage are immutable",
    ),
    "another number": (_patch("alice", {"spec": {"version": 2}}), "artifact, source and lineage are immutable"),
    "the rule is taken out": (_patch("mallory", _stages(NO_RULE)), "must stay and ask for the same"),
}


@pytest.mark.parametrize("way", AFTER)
def test_what_was_approved_stays_what_it_was(place: Place, approved: Object, way: str) -> None:
    act, said = AFTER[way]
    status, answer = act(place, approved)
    assert status in (403, 422), answer
    assert said in answer["message"]
    assert place.server.get(approved)[1]["spec"]["approvals"] == [approval(note="fine")]


def test_an_approval_is_taken_back_by_whoever_gave_it_or_by_the_group(place: Place, approved: Object) -> None:
    """Also by an author: taking away lets nothing in."""
    assert place.of("bob").patch(approved, approvals())[0] == 200
    assert place.of("bob").patch(approved, approvals(approval()))[0] == 200
    assert place.of("alice").patch(approved, approvals())[0] == 200


def test_what_is_no_matter_of_approval_is_edited_as_before(place: Place, approved: Object) -> None:
    """To withdraw in a hurry, to scale, to add a stage: nobody is asked for that."""
    mallory = place.of("mallory")
    assert mallory.patch(approved, {"spec": {"withdrawn": True}})[0] == 200
    more = [STAGES[0], {**STAGES[1], "replicas": 3}]
    assert mallory.patch(approved, _stages(*more))[0] == 200
    assert mallory.patch(approved, _stages({"name": "qa"}, *more))[0] == 200
    assert place.server.get(approved)[1]["spec"]["approvals"] == [approval(note="fine")]


def test_whoever_may_approve_may_change_what_is_asked(place: Place, made: Object) -> None:
    """In the group, and no author: with that the change was seen by two."""
    status, answer = place.of("bob").patch(made, _stages({"name": "production", "approval": {"group": "developers"}}))
    assert status == 200, answer


def test_what_was_given_under_another_rule_does_not_hold_under_the_new_one(place: Place, made: Object) -> None:
    """Nor when the rule is taken out first, and another comes in later; what is given with the change is of the new."""
    version = place.version("rain-v2", promotion={"stages": [OWN_GROUP]})
    assert place.of("alice").create(version)[0] == 201
    assert place.of("mallory").patch(version, approvals(approval("mallory")))[0] == 200
    stricter = {"name": "production", "approval": RULE}
    for change in (_stages(stricter), _stages(NO_RULE)):
        status, answer = place.of("mallory").patch(version, change)
        assert (status, "does not hold under this one" in answer["message"]) == (422, True), answer
    assert place.of("mallory").patch(version, _stages(stricter, approvals=[]))[0] == 200
    both = _stages({"name": "dev"}, {"name": "production", "approval": {**RULE, "notAuthor": False}})
    assert place.of("bob").patch(made, {"spec": {**both["spec"], "approvals": [approval("bob")]}})[0] == 200


def test_a_model_of_a_run_is_approved_once_it_is_known(place: Place) -> None:
    """Which model a version with spec.source is of stands in its status."""
    version = place.version(artifact=None, source={"trainingRunRef": {"name": "rain-1"}})
    assert place.of("alice").create(version)[0] == 201
    status, answer = place.of("bob").patch(version, approvals(approval()))
    assert status == 422
    assert "not known yet" in answer["message"]
    assert place.operator.patch(version, {"status": {"artifact": DIGEST}}, "status")[0] == 200
    assert place.of("bob").patch(version, approvals(approval()))[0] == 200


# --- by the command line ---


Mlops = Callable[..., Result]


@pytest.fixture
def mlops(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mlops:
    """The command line of a person with kubectl."""
    monkeypatch.setenv("PATH", f"{Path(program('kubectl')).parent}{os.pathsep}{os.environ['PATH']}")

    def call(who: str, *words: str) -> Result:
        token = place.server.people[who]
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, place.server.url, place.server.ca, token)))
        return CliRunner().invoke(cli, ["approve", "rain", *words, "-n", place.namespace, "--cluster"])

    return call


def test_a_person_approves_by_the_command_line_in_their_own_name(place: Place, made: Object, mlops: Mlops) -> None:
    """What it prints is a command that does the same; whoever may not is told why before anything is sent."""
    assert place.operator.patch(made, {"status": {"artifact": DIGEST}}, "status")[0] == 200
    for who, said in (("alice", "alice is an author of it"), ("mallory", "mallory is not in group ml-approvers")):
        refused = mlops(who, "--apply")
        assert (refused.exit_code, said in refused.output) == (2, True), refused.output
    printed = mlops("bob", "--note", "it's fine")
    assert printed.exit_code == 0, printed.output
    assert "approvals" not in place.server.get(made)[1]["spec"]
    (command,) = (line for line in printed.stdout.splitlines() if line.startswith("kubectl "))
    done = subprocess.run(shlex.split(command), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (given,) = place.server.get(made)[1]["spec"]["approvals"]
    assert (given["user"], given["note"], given["artifact"]) == ("bob", "it's fine", DIGEST)
    again = mlops("carol", "--apply", "--version", "rain-v1")
    assert (again.exit_code, "it is approved already: production by bob" in again.output) == (2, True)


def test_an_approval_is_added_to_what_was_read_only(place: Place, made: Object, mlops: Mlops) -> None:
    """Somebody has edited the version meanwhile: the command that was printed before does nothing."""
    assert place.operator.patch(made, {"status": {"artifact": DIGEST}}, "status")[0] == 200
    (command,) = (line for line in mlops("bob").stdout.splitlines() if line.startswith("kubectl "))
    assert place.of("mallory").patch(made, {"spec": {"capture": {"percent": 5}}})[0] == 200
    done = subprocess.run(shlex.split(command), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "approvals" not in place.server.get(made)[1]["spec"]
    assert mlops("bob", "--apply").exit_code == 0
    assert [each["user"] for each in place.server.get(made)[1]["spec"]["approvals"]] == ["bob"]


# --- who wrote it ---


@pytest.mark.parametrize("kind", ["version", "run"])
@pytest.mark.parametrize(
    ("who", "author", "said"),
    [
        pytest.param("alice", "bob", "you are alice: write your own name only", id="another"),
        pytest.param("alice", "alice,bob", "write your own name only", id="another too"),
        pytest.param("alice", None, "must be set", id="nobody"),
        pytest.param("a,b", "a,b", "no comma in them", id="a name that reads as two"),
    ],
)
def test_nobody_writes_another_name_than_their_own(
    place: Place, kind: str, who: str, author: str | None, said: str
) -> None:
    manifest = getattr(place, kind)(author=author)
    status, answer = place.of(who).create(manifest)
    assert status == 422, answer
    assert said in answer["message"]


@pytest.mark.parametrize("kind", ["version", "run"])
def test_a_service_account_of_the_namespace_is_no_author(place: Place, kind: str) -> None:
    """Else alice has one write for her, and approves: whoever may edit in a namespace can act as its accounts."""
    for home, accepted in ((place.namespace, False), (place.server.new_namespace(), True)):
        token, user = token_for(place.server, home, "pipeline")
        status, answer = place.server.with_token(token).create(getattr(place, kind)(author=user))
        assert status == (201 if accepted else 422), answer
        assert accepted or "as which whoever may edit here can act" in answer["message"]


def test_where_no_stage_asks_nobody_has_to_say_who_they_are(place: Place) -> None:
    """Manifests of those who ask for no approval are what they were."""
    plain = {"promotion": {"stages": [{"name": "dev"}]}}
    assert place.of("mallory").create(place.version(author=None, **plain))[0] == 201
    assert place.of("mallory").create(place.version("rain-v2", author=None, promotion=None))[0] == 201
    assert place.of("mallory").create(place.run(author=None, register={"modelName": "rain"}))[0] == 201
    bare = place.run("bare", author=None)
    del bare["spec"]["register"]
    assert place.of("mallory").create(bare)[0] == 201


def test_the_operator_hands_on_who_wrote_the_run(place: Place) -> None:
    """And they cannot approve of what came of it; where nobody is known, nobody can, until somebody says so."""
    assert place.operator.create(place.version("rain-v3", author="alice,carol"))[0] == 201
    version = place.version("rain-v3")
    for name in ("alice", "carol"):
        status, answer = place.of(name).patch(version, approvals(approval(name)))
        assert (status, "is an author" in answer["message"]) == (422, True)
    assert place.of("bob").patch(version, approvals(approval()))[0] == 200
    unknown = place.version("rain-v4", author=None)
    assert place.operator.create(unknown)[0] == 201
    status, answer = place.of("bob").patch(unknown, approvals(approval()))
    assert (status, "is not known who wrote" in answer["message"]) == (422, True)
    assert place.of("alice").patch(unknown, {"metadata": {"annotations": {AUTHORS: "alice"}}})[0] == 200
    assert place.of("bob").patch(unknown, approvals(approval()))[0] == 200


def test_whoever_edits_a_template_is_an_author_of_what_comes_of_it(place: Place) -> None:
    """To suspend it is no such edit."""
    template, change = place.run(), {"spec": {"trainer": {"estimator": {"name": "Ridge"}}}}
    assert place.of("alice").create(template)[0] == 201
    status, answer = place.of("carol").patch(template, change)
    assert (status, "add your own name, carol" in answer["message"]) == (422, True)
    assert place.of("carol").patch(template, {"spec": {"suspend": True}})[0] == 200
    owned = {"metadata": {"annotations": {AUTHORS: "alice,carol"}}}
    assert place.of("carol").patch(template, {**change, **owned})[0] == 200
    status, answer = place.of("mallory").patch(template, {"spec": {"register": {"promotion": {"stages": [NO_RULE]}}}})
    assert (status, "add your own name" in answer["message"] or "must stay" in answer["message"]) == (422, True)
    named = {"metadata": {"annotations": {AUTHORS: "alice,carol,mallory"}}}
    unasked = {"spec": {"register": {"promotion": {"stages": [NO_RULE]}}}}
    status, answer = place.of("mallory").patch(template, {**unasked, **named})
    assert (status, "must stay and ask for the same" in answer["message"]) == (422, True)


# --- what the installation asks for ---


@pytest.mark.parametrize("kind", ["version", "run"])
@pytest.mark.parametrize(
    "stage",
    [
        pytest.param({"name": "live"}, id="without"),
        pytest.param({"name": "live", "approval": {"group": "developers"}}, id="another group"),
        pytest.param({"name": "live", "approval": {**RULE, "required": False}}, id="switched off"),
        pytest.param({"name": "live", "approval": {**RULE, "notAuthor": False}}, id="by the author"),
        pytest.param({"name": "eu-live"}, id="a name whose Service could be that of another model"),
    ],
)
def test_a_stage_that_the_installation_lists_asks_whoever_writes_the_version(
    place: Place, kind: str, stage: Object
) -> None:
    """Else whoever makes a version, or makes it again, leaves the rule out."""
    promotion = {"stages": [stage]}
    more: Object = {"promotion": promotion} if kind == "version" else {}
    if kind == "run":
        more = {"register": {"modelName": "rain", "promotion": promotion}}
    status, answer = place.of("alice").create(getattr(place, kind)(**more))
    assert status == 422, answer
    assert "live: {group: ml-approvers}" in answer["message"]


def test_with_the_rule_such_a_stage_is_made(place: Place) -> None:
    version = place.version(promotion={"stages": [{"name": "live", "approval": RULE}]})
    assert place.of("alice").create(version)[0] == 201
    assert place.of("bob").patch(version, approvals(approval(stage="live")))[0] == 200


def test_the_policies_themselves_are_the_administrators(place: Place) -> None:
    """Whoever may write them may do anything."""
    path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    assert place.of("alice").request("DELETE", path)[0] == 403
    assert place.of("alice").request("POST", path, {}, JSON)[0] == 403
    assert place.operator.request("DELETE", path)[0] == 403
