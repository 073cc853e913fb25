"""The chart on a real API server, by the real Helm: install, upgrade, roll back, uninstall. No node, so no pod runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import pytest
import yaml

from tests.chart import helm
from tests.chart.cluster import A_DATASET, CRD, DEFINITIONS, Cluster
from tests.chart.helm import CHART, FULL, NAMESPACE, RELEASE, ROOT, Object
from tests.servers.process import program

pytestmark = [pytest.mark.apiserver, pytest.mark.thorough]


def _changed(folder: Path, *, version: str) -> Path:
    """Return a copy of the chart that is a release further: a Dataset has a new field."""
    chart = folder / version / "mlops-operator"
    shutil.copytree(CHART, chart)
    about = chart / "Chart.yaml"
    about.write_text(about.read_text().replace("version: 0.1.0", f"version: {version}", 1))
    definition = chart / "templates" / "crds" / "mlops.dev_datasets.yaml"
    text = definition.read_text()
    marked = text.replace(
        "              suspend:\n", "              novelty: {type: string}\n              suspend:\n", 1
    )
    assert marked != text
    definition.write_text(marked)
    return chart


def _dataset_fields(cluster: Cluster) -> set[str]:
    (version,) = cluster.definition("datasets.mlops.dev")["spec"]["versions"]
    fields: Object = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    return set(fields)


def test_an_upgrade_upgrades_the_definitions_and_an_uninstall_keeps_them(cluster: Cluster, tmp_path: Path) -> None:
    """Install, upgrade, roll back, uninstall, install again: the objects of users survive all of it."""
    cluster.install()
    assert "novelty" not in _dataset_fields(cluster)
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{name}" for name in DEFINITIONS))
    assert cluster.server.create(A_DATASET)[0] == 201

    cluster.install(chart=_changed(tmp_path, version="0.2.0"))
    assert "novelty" in _dataset_fields(cluster)
    cluster.helm("rollback", RELEASE, "1", "--namespace", NAMESPACE)
    assert "novelty" not in _dataset_fields(cluster)

    cluster.helm("uninstall", RELEASE, "--namespace", NAMESPACE)
    left = cluster.everything()
    assert not [each["metadata"] for each in left if "deletionTimestamp" in each["metadata"]], "Terminating"
    ours = [each for each in left if "mlops" in each["metadata"]["name"] and each["kind"] != "Namespace"]
    assert sorted((each["kind"], each["metadata"]["name"]) for each in ours if each["kind"] != "APIService") == [
        ("CustomResourceDefinition", name) for name in DEFINITIONS
    ]
    assert cluster.server.get(A_DATASET)[0] == 200

    cluster.install()
    assert cluster.server.get(A_DATASET)[0] == 200
    cluster.helm("uninstall", RELEASE, "--namespace", NAMESPACE)
    said = cluster.refused("install", "other", CHART, "--namespace", NAMESPACE)
    assert "invalid ownership metadata" in said
    cluster.helm("install", "other", CHART, "--namespace", NAMESPACE, "--take-ownership")
    assert cluster.server.get(A_DATASET)[0] == 200


def test_the_chart_of_the_commit_before_is_upgraded_and_comes_back(cluster: Cluster, tmp_path: Path) -> None:
    """Who runs yesterday's chart can take today's, and go back."""
    archived = subprocess.run(
        ["git", "archive", "HEAD~1", "--", "charts/mlops-operator"], cwd=ROOT, capture_output=True, check=False
    )
    if archived.returncode != 0:
        pytest.skip(f"there is no commit before this one that has the chart: {archived.stderr.decode().strip()}")
    with tarfile.open(fileobj=BytesIO(archived.stdout)) as archive:
        archive.extractall(tmp_path, filter="data")
    values: helm.Values = {"demoMinio": {"enabled": True}}
    cluster.install(values, chart=tmp_path / "charts" / "mlops-operator")
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{name}" for name in DEFINITIONS))
    assert cluster.server.create(A_DATASET)[0] == 201
    cluster.install(values)
    cluster.helm("rollback", RELEASE, "1", "--namespace", NAMESPACE)
    history = json.loads(cluster.helm("history", RELEASE, "--namespace", NAMESPACE, "--output", "json"))
    assert [each["status"] for each in history] == ["superseded", "superseded", "deployed"]
    assert cluster.server.get(A_DATASET)[0] == 200


def test_the_api_server_takes_everything_that_is_rendered(cluster: Cluster) -> None:
    """`helm template | kubectl apply --dry-run=server`, with every switch on as by default."""
    stubs = []
    for kind in ("ServiceMonitor", "PodMonitor", "PrometheusRule"):
        plural = f"{kind.lower()}s"
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        group = "monitoring.coreos.com"
        spec = {"group": group, "scope": "Namespaced", "versions": [version]}
        spec["names"] = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"}
        stubs.append({**CRD, "metadata": {"name": f"{plural}.{group}"}, "spec": spec})
    cluster.server.apply_crds(stubs)
    try:
        for values in ({}, FULL):
            rendered = helm.template(values)
            said = cluster.kubectl("apply", "--dry-run=server", "--filename=-", given=rendered)
            wanted = [each for each in yaml.safe_load_all(rendered) if each]
            assert said.count("(server dry run)") == len(wanted)
    finally:
        for stub in stubs:
            cluster.server.delete(stub)


def test_an_alert_without_prometheus_is_refused_by_its_value(cluster: Cluster) -> None:
    """Not by the API server's word that it does not know a kind."""
    values = {"metrics": {"prometheusRule": {"enabled": True}}}
    said = cluster.refused("install", RELEASE, CHART, "--namespace", NAMESPACE, values=values)
    assert (
        "metrics.prometheusRule.enabled: this cluster does not serve PrometheusRule of monitoring.coreos.com/v1; "
        "install the Prometheus operator first"
    ) in said


@pytest.mark.parametrize("values", [pytest.param({}, id="default"), pytest.param(FULL, id="full")])
def test_pods_are_admitted_where_restricted_is_enforced(cluster: Cluster, values: helm.Values) -> None:
    """The operator's, the demo's and the test's, by the API server's own judgement."""
    namespace = cluster.server.new_namespace()
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    assert cluster.server.patch(manifest, label)[0] == 200
    shown = helm.pods(helm.objects({**values, "demoMinio": {"enabled": True}}))
    assert len(shown) == 3
    for name, spec in shown.items():
        spec = {key: value for key, value in spec.items() if key != "priorityClassName"}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}
        status, answer = cluster.server.create(pod)
        assert status == 201, answer["message"]


MINE = ("label", "--overwrite", "secret", "mlops-store-reader", "app.kubernetes.io/component=mine")


def _credentials(cluster: Cluster, namespace: str, role: str = "") -> dict[str, str]:
    data = cluster.get("v1", "Secret", f"mlops-store{role}", namespace)["data"]
    return {name: b64decode(value).decode() for name, value in data.items()}


def test_the_demos_credentials_are_random_and_survive_upgrades(cluster: Cluster) -> None:
    """A user for each namespace and role, and none of them the administrator; an upgrade does not restart MinIO, which
    would empty it."""
    values: helm.Values = {"demoMinio": {"enabled": True, "namespaces": ["team-a", "team-b"]}}
    cluster.install(values)
    first = _credentials(cluster, "team-a")
    assert len(first["AWS_SECRET_ACCESS_KEY"]) == 40
    root = cluster.get("v1", "Secret", f"{RELEASE}-minio", NAMESPACE)["data"]
    places = [
        (each, role)
        for each in ("team-a", "team-b", NAMESPACE)
        for role in ("", "-reader", "-server", "-remover", "-delivery")
    ]
    all_first = [_credentials(cluster, *place) for place in places]
    ids = [each["AWS_ACCESS_KEY_ID"] for each in all_first]
    assert len({*ids, b64decode(root["rootUser"]).decode()}) == len(places) + 1 == 16
    assert b64decode(root["rootPassword"]).decode() not in [each["AWS_SECRET_ACCESS_KEY"] for each in all_first]
    pod = cluster.get("apps/v1", "Deployment", f"{RELEASE}-minio")["spec"]["template"]
    more = {"demoMinio": {"enabled": True, "namespaces": ["team-a", "team-b", "default"]}}
    cluster.install({**more, "workers": 5, "podLabels": {"changed": "yes"}})
    assert [_credentials(cluster, *place) for place in places] == all_first
    assert cluster.get("apps/v1", "Deployment", f"{RELEASE}-minio")["spec"]["template"] == pod
    cluster.helm("uninstall", RELEASE, "--namespace", NAMESPACE)
    cluster.install(values)
    assert _credentials(cluster, "team-a") != first


def test_a_demo_of_another_name_knows_the_keys_that_the_one_before_left(cluster: Cluster) -> None:
    """Its Secrets stay, for model servers need them: a MinIO with other users would refuse every pod."""
    values: helm.Values = {"demoMinio": {"enabled": True, "namespaces": ["team-a"]}}
    cluster.install(values)
    cluster.helm("uninstall", RELEASE, "--namespace", NAMESPACE)
    cluster.kubectl("-n", "team-a", *MINE)
    left = {role: _credentials(cluster, "team-a", role) for role in ("", "-reader", "-server", "-delivery")}
    words = ("install", "other", CHART, "--namespace", NAMESPACE, "--take-ownership")
    said = cluster.helm(*words, values=values)
    made = b64decode(cluster.get("v1", "Secret", "other-minio-users")["data"]["users.json"])
    users = {(one["namespace"], one["role"]): one for one in json.loads(made)["users"]}
    for role, suffix in (("writer", ""), ("server", "-server"), ("delivery", "-delivery")):
        one, kept = users["team-a", role], left[suffix]
        assert (one["accessKey"], one["secretKey"]) == (kept["AWS_ACCESS_KEY_ID"], kept["AWS_SECRET_ACCESS_KEY"])
        assert _credentials(cluster, "team-a", suffix) == kept
    assert "USED: the Secret mlops-store-server in the namespace team-a" in said
    # Somebody's own is neither read nor replaced.
    assert users["team-a", "reader"]["accessKey"] != left["-reader"]["AWS_ACCESS_KEY_ID"]
    assert "LEFT ALONE: the Secret mlops-store-reader in the namespace team-a" in said
    cluster.kubectl("-n", "team-a", "delete", "secret", "mlops-store-reader")


def test_a_secret_of_the_demo_that_somebody_made_theirs_is_left_alone(cluster: Cluster) -> None:
    """No upgrade and no install afterwards fails for its label, as Helm does for a field that another manager took."""
    values: helm.Values = {"demoMinio": {"enabled": True, "namespaces": ["team-a"]}}
    cluster.install(values)
    cluster.kubectl("-n", "team-a", *MINE)
    theirs = _credentials(cluster, "team-a", "-reader")
    for installs in (False, True):
        if installs:
            cluster.helm("uninstall", RELEASE, "--namespace", NAMESPACE)
        assert "LEFT ALONE: the Secret mlops-store-reader in the namespace team-a" in cluster.install(values)
        secret = cluster.get("v1", "Secret", "mlops-store-reader", "team-a")
        assert secret["metadata"]["labels"]["app.kubernetes.io/component"] == "mine"
        assert _credentials(cluster, "team-a", "-reader") == theirs
        made = b64decode(cluster.get("v1", "Secret", f"{RELEASE}-minio-users")["data"]["users.json"])
        (reader,) = [
            one for one in json.loads(made)["users"] if (one["namespace"], one["role"]) == ("team-a", "reader")
        ]
        # Its keys stay good until the demo is made again with others.
        assert (reader["secretKey"] == theirs["AWS_SECRET_ACCESS_KEY"]) is not installs
    # The way out that the notes name.
    cluster.kubectl("-n", "team-a", "delete", "secret", "mlops-store-reader")
    assert "LEFT ALONE" not in cluster.install(values)
    assert _credentials(cluster, "team-a", "-reader")["AWS_SECRET_ACCESS_KEY"] == reader["secretKey"]


def test_a_second_operator_on_the_same_objects_is_refused(cluster: Cluster) -> None:
    """With the name of the first, and before anything of the second is made."""
    cluster.install({"namespaces": ["team-a"]})
    words = ("install", "second", CHART, "--namespace", "elsewhere")
    whole = {"crds": {"enabled": False}, "rbac": {"aggregateClusterRoles": False}}
    first = f'release "{RELEASE}" in the namespace "{NAMESPACE}"'

    assert f"the CustomResourceDefinitions of mlops.dev belong to the {first}. Upgrade that release" in cluster.refused(
        *words
    )
    overlapping = cluster.refused(*words, values={**whole, "namespaces": ["team-b", "team-a"]})
    assert f'the {first} already works in the namespace "team-a"' in overlapping
    everywhere = cluster.refused(*words, values=whole)
    assert f'the {first} already works in the namespace "team-a"' in everywhere
    cluster.helm(*words, values={**whole, "namespaces": ["team-b"]})


def test_a_second_operator_beside_one_that_works_everywhere_is_refused(cluster: Cluster) -> None:
    """All namespaces are all."""
    cluster.install()
    values = {"crds": {"enabled": False}}
    said = cluster.refused("install", "second", CHART, "--namespace", "elsewhere", values=values)
    assert f'the release "{RELEASE}" in the namespace "{NAMESPACE}" already works in all namespaces' in said


def _may(cluster: Cluster, verb: str, resource: str, namespace: str, name: str = "") -> bool:
    """Ask about `group/resource` or `group/resource/subresource`; a core resource has an empty group."""
    group, plural, subresource = [*resource.split("/"), ""][:3]
    attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": plural, "name": name}
    spec = {
        "user": f"system:serviceaccount:{NAMESPACE}:{RELEASE}",
        "groups": ["system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated"],
        "resourceAttributes": {**attributes, "subresource": subresource},
    }
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {}, "spec": spec}
    status, answer = cluster.server.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    assert status == 201, answer
    return bool(answer["status"]["allowed"])


@pytest.mark.parametrize(
    ("values", "elsewhere"),
    [
        pytest.param({}, True, id="all namespaces"),
        pytest.param({"namespaces": ["team-a", "team-b"]}, False, id="two namespaces"),
    ],
)
def test_the_operator_may_work_where_it_should_and_read_secrets_nowhere(
    cluster: Cluster, values: helm.Values, elsewhere: bool
) -> None:
    """By the API server's own judgement of the rendered roles."""
    cluster.install(values)
    for namespace, works in (("team-a", True), ("team-b", True), ("elsewhere", elsewhere)):
        assert _may(cluster, "create", "batch/jobs", namespace) is works
        assert _may(cluster, "watch", "mlops.dev/datasets", namespace) is works
        assert _may(cluster, "patch", "mlops.dev/datasets/status", namespace) is works
        assert not any(_may(cluster, verb, "/secrets", namespace) for verb in ("get", "list", "watch", "create"))
        assert not _may(cluster, "patch", "mlops.dev/datasets", namespace)
        assert not _may(cluster, "delete", "mlops.dev/trainingruns", namespace)
    leases = "coordination.k8s.io/leases"
    assert _may(cluster, "create", leases, NAMESPACE)
    assert _may(cluster, "update", leases, NAMESPACE, RELEASE)
    assert not _may(cluster, "update", leases, NAMESPACE, "anothers")
    assert not _may(cluster, "create", leases, "team-a")


def _commands(notes: str, first_word: str) -> list[str]:
    """Return the commands of a program that the notes tell to run."""
    joined = notes.replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip().startswith(first_word)]


def _shell(cluster: Cluster, command: str) -> str:
    folder = Path(program("kubectl")).parent
    environ = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", command], env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def test_the_notes_tell_how_to_give_the_stores_keys(cluster: Cluster) -> None:
    """The command can be copied, and makes the Secret that pods look for."""
    notes = cluster.install({"namespaces": ["team-a"], "store": {"secretName": "keys"}})
    (command,) = [each for each in _commands(notes, "kubectl") if "create secret" in each]
    assert "MLOPS_S3_ENDPOINT" in command
    _shell(cluster, command)
    assert cluster.get("v1", "Secret", "keys", "team-a")["data"].keys() == {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "MLOPS_S3_ENDPOINT",
    }
    assert "helm -n mlops-system test mlops-operator" in notes
    other = cluster.install({"store": {"endpoint": "https://s3.example.com"}})
    assert "keys of the store s3://mlops at https://s3.example.com" in other
    assert "MLOPS_S3_ENDPOINT" not in other


def test_the_notes_of_the_demo_say_that_it_is_one_and_how_to_reach_it(cluster: Cluster) -> None:
    """The credentials come out as a shell takes them."""
    notes = cluster.install({"demoMinio": {"enabled": True}})
    assert "IT IS FOR DEMONSTRATIONS" in notes
    (command,) = [each for each in _commands(notes, "kubectl") if "get secret" in each]
    exported = dict(re.findall(r"^export (\w+)=(\S+)$", _shell(cluster, command), re.MULTILINE))
    assert exported == _credentials(cluster, NAMESPACE, "-delivery")


def _gone(cluster: Cluster, name: str) -> None:
    """Delete a namespace, and do what its controller does, which does not run here."""
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    cluster.kubectl("-n", name, "delete", "secrets,roles,rolebindings", "--all")
    assert cluster.server.delete(manifest)[0] == 200
    status, answer = cluster.server.get(manifest)
    if status == 200:
        answer["spec"]["finalizers"] = []
        assert cluster.server.request("PUT", f"/api/v1/namespaces/{name}/finalize", answer)[0] == 200
    assert cluster.server.get(manifest)[0] == 404


def test_a_namespace_that_is_gone_is_left_out_and_comes_back(cluster: Cluster) -> None:
    """Of the demo's list, and of those that the operator works in: no upgrade fails for it, and none of the others
    loses anything. Made again, it gets what it had with the next upgrade."""
    passing = cluster.server.new_namespace()
    demo: helm.Values = {"demoMinio": {"enabled": True, "namespaces": ["team-a", passing]}}
    values: helm.Values = {**demo, "namespaces": ["team-a", passing]}
    for each in (demo, values):
        cluster.server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": passing}})
        cluster.install(each)
        keys, of_the_other = _credentials(cluster, passing), _credentials(cluster, "team-a")
        _gone(cluster, passing)
        notes = cluster.install(each)
        assert f"NOT THERE, and left out: the namespaces {passing}." in notes
        assert _credentials(cluster, "team-a") == of_the_other
        environment = cluster.get("apps/v1", "Deployment", RELEASE)["spec"]["template"]["spec"]["containers"][0]["env"]
        (works_in,) = [one.get("value", "") for one in environment if one["name"] == "MLOPS_OPERATOR_NAMESPACES"]
        assert works_in == ("team-a" if each is values else "")
        cluster.server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": passing}})
        assert "NOT THERE" not in cluster.install(each)
        assert _credentials(cluster, passing) == keys
    assert cluster.get("rbac.authorization.k8s.io/v1", "Role", "mlops-operator", passing)


def test_without_any_of_its_namespaces_it_does_not_work_in_all(cluster: Cluster) -> None:
    """An empty list means all of them, which nobody asked for."""
    passing = cluster.server.new_namespace()
    cluster.install({"namespaces": [passing]})
    _gone(cluster, passing)
    said = cluster.refused("upgrade", RELEASE, CHART, "--namespace", NAMESPACE, values={"namespaces": [passing]})
    assert f"namespaces: none of {passing} is there" in said


def test_a_secret_that_exists_already_is_left_alone(cluster: Cluster) -> None:
    """Somebody's own keys are not overwritten, and no upgrade fails for them; deleted, the demo's take their place."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mlops-store", "namespace": "team-b"}}
    # The demo's own outlives a release before this one.
    assert cluster.server.delete(secret)[0] in (200, 404)
    assert cluster.server.create({**secret, "stringData": {"AWS_ACCESS_KEY_ID": "mine"}})[0] == 201
    values: helm.Values = {"demoMinio": {"enabled": True, "namespaces": ["team-b"]}}
    cluster.install()
    notes = cluster.install(values)
    assert "LEFT ALONE: the Secret mlops-store in the namespace team-b" in notes
    assert _credentials(cluster, "team-b") == {"AWS_ACCESS_KEY_ID": "mine"}
    assert cluster.server.delete(secret)[0] == 200
    assert "LEFT ALONE" not in cluster.install(values)
    assert _credentials(cluster, "team-b").keys() == _credentials(cluster, NAMESPACE).keys()
    assert _credentials(cluster, "team-b")["AWS_ACCESS_KEY_ID"] != "mine"


def test_a_change_that_no_deployment_takes_is_refused_before_anything_is_done(cluster: Cluster) -> None:
    """The selector is immutable: half an upgrade would be there otherwise."""
    cluster.install({"fullnameOverride": "ops"})
    values = {"fullnameOverride": "ops", "nameOverride": "other", "workers": 7}
    said = cluster.refused("upgrade", RELEASE, CHART, "--namespace", NAMESPACE, values=values)
    assert "put nameOverride back, or delete the Deployment first" in said
    history = json.loads(cluster.helm("history", RELEASE, "--namespace", NAMESPACE, "--output", "json"))
    assert [each["status"] for each in history] == ["deployed"]
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment"}
    cluster.server.delete({**deployment, "metadata": {"name": "ops", "namespace": NAMESPACE}})
    cluster.install(values)


def test_definitions_that_somebody_deleted_come_back_with_an_upgrade(cluster: Cluster) -> None:
    """The way out that the operator's readiness and its alert name."""
    cluster.install()
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{name}" for name in DEFINITIONS))
    cluster.remove_definitions()
    cluster.install()
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{name}" for name in DEFINITIONS))
