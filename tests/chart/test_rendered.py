"""What the chart renders to: the YAML that a reviewer sees change, and what holds for all of it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops.api import kinds
from mlops.cluster.kinds import WATCHED
from mlops.cluster.lag import Lag
from mlops.cluster.metrics import OperatorMetrics
from mlops.cluster.settings import OperatorSettings
from mlops.planning import pods as workload_pods
from mlops.planning.plan import Settings
from tests.chart import helm
from tests.chart.helm import CHART, FULL, NAMESPACE, ROOT, Object
from tests.cluster_faults.operators import PROBE_FAILURES, PROBE_SECONDS

pytestmark = pytest.mark.thorough

GOLDEN = Path(__file__).parent / "golden"
_BOTH = [pytest.param({}, id="default"), pytest.param(FULL, id="full")]
_LONG = 500


class _Readable(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, list[Object]], None]:
    """Return a check that objects are those of the golden file; `--update-golden` writes the file again."""

    def check(name: str, found: list[Object]) -> None:
        path = GOLDEN / f"{name}.yaml"
        text = yaml.dump_all(map(_shortened, found), Dumper=_Readable, sort_keys=False, width=120)
        if request.config.getoption("--update-golden", default=False):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        assert text == path.read_text(), f"differs from {path.name}: if meant, run with --update-golden"

    return check


def _shortened(manifest: Object) -> Object:
    """Leave out what is a file of its own."""
    if manifest["kind"] != "ConfigMap":
        return manifest
    data = {name: "(a file)" if len(text) > _LONG else text for name, text in manifest["data"].items()}
    return {**manifest, "data": data}


@pytest.mark.parametrize("values", _BOTH)
def test_helm_lint_has_nothing_to_say(values: helm.Values) -> None:
    """`helm lint --strict` is clean."""
    code, output, complaint = helm.run("lint", "--strict", CHART, "--kube-version", helm.KUBERNETES, values=values)
    assert code == 0, output + complaint
    assert not re.search(r"\[(WARNING|ERROR)\]", output)


@pytest.mark.parametrize(("name", "values"), [("default", {}), ("full", FULL)])
def test_the_rendered_yaml_is_the_golden_one(
    name: str, values: helm.Values, golden: Callable[[str, list[Object]], None]
) -> None:
    """A reviewer sees what a change of the chart does to the cluster."""
    golden(name, [each for each in helm.objects(values) if each["kind"] != "CustomResourceDefinition"])


def test_the_definitions_are_those_of_the_types_and_stay_on_uninstall() -> None:
    """Helm upgrades them with the chart, and never deletes them with everybody's objects."""
    rendered = [each for each in helm.objects() if each["kind"] == "CustomResourceDefinition"]
    assert len(rendered) == len(kinds.KINDS)
    for each in rendered:
        assert each["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
        plain = yaml.safe_load((ROOT / "crds" / f"mlops.dev_{each['spec']['names']['plural']}.yaml").read_text())
        assert each["spec"] == plain["spec"]
    without = helm.objects({"crds": {"enabled": False}})
    assert not [each for each in without if each["kind"] == "CustomResourceDefinition"]


@pytest.mark.parametrize("values", _BOTH)
def test_every_object_has_the_recommended_labels(values: helm.Values) -> None:
    """What belongs to the release can be listed."""
    wanted = {"name", "instance", "version", "part-of", "managed-by"}
    for each in helm.objects(values):
        labels = each["metadata"]["labels"]
        assert {f"app.kubernetes.io/{label}" for label in wanted} <= labels.keys(), each["metadata"]["name"]
        assert labels["helm.sh/chart"] == "mlops-operator-0.1.0"


@pytest.mark.parametrize("values", _BOTH)
def test_pods_have_bounds_and_no_rights_that_they_do_not_need(values: helm.Values) -> None:
    """As the pods of the planners: bounded, read-only, without capabilities."""
    ours = workload_pods.container_security(Settings(pod_user=None))
    specs = helm.pods(helm.objects(values))
    assert specs
    for spec in specs.values():
        for container in [*spec.get("initContainers", ()), *spec["containers"]]:
            security = {**spec["securityContext"], **container["securityContext"]}
            assert {name: security[name] for name in ours} == ours
            assert {"cpu", "memory"} <= container["resources"]["limits"].keys()
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()


def test_the_operator_is_given_nothing_that_it_does_not_take() -> None:
    """A variable that was renamed in the program would be ignored without a word."""
    taken = {*OperatorSettings.names(), "HTTPS_PROXY"}
    for values in ({}, FULL):
        (container,) = helm.pods(helm.objects(values))[helm.RELEASE]["containers"]
        given = [each["name"] for each in container["env"]]
        assert set(given) <= taken
        assert len(given) == len(set(given))


def test_pods_of_models_are_told_the_store() -> None:
    """What they need beside the keys, which stand in the Secret only."""

    def environment(values: helm.Values) -> Object:
        (container,) = helm.pods(helm.objects(values))[helm.RELEASE]["containers"]
        (value,) = (each["value"] for each in container["env"] if each["name"] == "MLOPS_OPERATOR_POD_ENV")
        found: Object = json.loads(value)
        return found

    plain = {"MLOPS_STORE": "s3://mlops", "MLOPS_S3_REGION": "us-east-1", "MLOPS_S3_ADDRESSING": "path"}
    assert environment({}) == plain
    assert environment({"store": {"endpoint": "https://s3.example.com"}, "podEnvironment": {"A": "1"}}) == {
        **plain,
        "MLOPS_S3_ENDPOINT": "https://s3.example.com",
        "A": "1",
    }
    demo = {"MLOPS_S3_ENDPOINT": f"http://{helm.RELEASE}-minio.{NAMESPACE}.svc:9000"}
    assert environment({"demoMinio": {"enabled": True}}) == {**plain, **demo}


def _roles(values: helm.Values) -> Iterator[Object]:
    yield from (each for each in helm.objects(values) if each["kind"] in ("Role", "ClusterRole"))


@pytest.mark.parametrize("values", _BOTH)
def test_no_role_has_a_wildcard_or_a_verb_on_secrets(values: helm.Values) -> None:
    """The store's keys are none of the operator's business."""
    for role in _roles(values):
        for group, resource, verb in helm.rights(role["rules"]):
            assert "*" not in (group, resource, verb), role["metadata"]["name"]
            assert resource.partition("/")[0] != "secrets", role["metadata"]["name"]


def _documented() -> set[tuple[str, str, str]]:
    """The table of docs/install.md: group, resources, verbs."""
    section = (ROOT / "docs" / "install.md").read_text().partition("\n### What the operator may do\n")[2]
    rows = re.findall(r"^\| `?([a-z0-9.]*)`? \| (`[^|]*`) \| ([a-z, ]+) \|", section.partition("\n#")[0], re.MULTILINE)
    return {
        ("" if group == "core" else group, resource, verb)
        for group, resources, verbs in rows
        for resource in re.findall(r"`([^`]+)`", resources)
        for verb in verbs.split(", ")
    }


def test_the_operators_rights_are_those_of_the_table_in_the_docs() -> None:
    """Who has to approve them reads them in one place."""
    found = helm.objects()
    rules = one_role(found, "ClusterRole", "mlops-operator") + one_role(found, "Role", "mlops-operator-lease")
    assert helm.rights(rules) == _documented()


def one_role(found: list[Object], kind: str, name: str) -> list[Object]:
    """Return the rules of a role."""
    rules: list[Object] = helm.one(found, kind, name)["rules"]
    return rules


def test_the_operator_may_list_and_watch_exactly_what_it_watches() -> None:
    """Not a kind less, or it never becomes ready; and not one more."""
    rules = helm.rights(one_role(helm.objects(), "ClusterRole", "mlops-operator"))
    for verb in ("list", "watch"):
        allowed = {(group, resource) for group, resource, each in rules if each == verb}
        assert allowed == {(served.group, served.plural) for served in WATCHED.values()}


def test_with_namespaces_no_right_reaches_beyond_them() -> None:
    """The same rules as a Role in each, and a ServiceAccount of the release's namespace bound to them."""
    found = helm.objects({"namespaces": ["team-a", "team-b"], "rbac": {"aggregateClusterRoles": False}})
    assert not [each for each in found if each["kind"] in ("ClusterRole", "ClusterRoleBinding")]
    for namespace in ("team-a", "team-b"):
        inside = [each for each in found if each["metadata"].get("namespace") == namespace]
        role = [each for each in inside if each["kind"] == "Role" and each["metadata"]["name"] == "mlops-operator"]
        assert helm.rights(role[0]["rules"]) == helm.rights(one_role(helm.objects(), "ClusterRole", "mlops-operator"))
        (binding,) = (
            each for each in inside if each["kind"] == "RoleBinding" and each["roleRef"]["name"] == "mlops-operator"
        )
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": helm.RELEASE, "namespace": NAMESPACE}]


def test_alerts_and_dashboard_ask_for_metrics_that_there_are() -> None:
    """A metric that was renamed makes an alert silent for ever."""
    text = (
        OperatorMetrics()
        .exposition(oldest=0.0, held=True, missing=0, restarts=0, lag=Lag(), count=lambda kind: 0)
        .decode()
    )
    there = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    there |= {f"{name}_bucket" for name in there}
    (group,) = helm.one(helm.objects(FULL), "PrometheusRule")["spec"]["groups"]
    dashboard = json.loads((CHART / "files" / "dashboards" / "mlops-operator.json").read_text())
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    for expression in [*(rule["expr"] for rule in group["rules"]), *shown]:
        asked = set(re.findall(r"\b(?:mlops|process)_\w+", expression))
        assert asked <= there | {"process_resident_memory_bytes", "process_cpu_seconds_total"}, expression
        assert asked or expression.startswith(("absent(up", "sum(up"))
    for rule in group["rules"]:
        assert {"summary", "description", "runbook"} == rule["annotations"].keys()


def _keys(values: Any, schema: Object, definitions: Object, path: str = "") -> Iterator[str]:
    """Yield what stands in the values and not in the schema, or the other way round."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", 1)[1]]
    if not isinstance(values, dict) or "properties" not in schema:
        return
    assert schema["additionalProperties"] is False, path
    present = {f"{path}.{name}" for name in values}
    known = {f"{path}.{name}" for name in schema["properties"]}
    # What has no default need not be listed where an empty object is one.
    yield from present - known if path and not values else present ^ known
    for name, value in values.items():
        if name in schema["properties"]:
            yield from _keys(value, schema["properties"][name], definitions, f"{path}.{name}")


def test_the_schema_knows_every_value_and_no_other() -> None:
    """A value that is added is checked."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    different = set(_keys(values, schema, schema["definitions"]))
    assert different <= {".global", ".resources.claims", ".demoMinio.resources.claims"}


def _loop(**environ: str) -> Any:
    """Import the program of `helm test`."""
    spec = importlib.util.spec_from_file_location("helm_test_loop", CHART / "files" / "helm-test" / "loop.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    kept = dict(os.environ)
    os.environ.update(environ)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        os.environ.clear()
        os.environ.update(kept)
        del sys.modules[spec.name]
    return module


def test_helm_test_applies_objects_that_the_types_take() -> None:
    """They are written as a user would write them."""
    loop = _loop(MLOPS_TEST_DATA="s3://mlops/mlops-helm-test", MLOPS_TEST_NAMESPACE="a")
    for manifest in loop.objects().values():
        assert kinds.parse(manifest).metadata.name == "helm-test"
    assert loop.objects()["datasets"]["spec"]["source"]["s3"]["uri"] == "s3://mlops/mlops-helm-test/a/rows.csv"


@pytest.mark.slow
def test_what_helm_test_asks_for_comes_out(tmp_path: Path) -> None:
    """The same table and objects on one machine: trained, registered, served."""
    from tests.cli.project import mlops

    loop = _loop(MLOPS_TEST_DATA="s3://raw/mlops-helm-test", MLOPS_TEST_NAMESPACE="default")
    project = tmp_path / "project"
    project.mkdir()
    # As the program sends them: JSON leaves no scalar to be read in another way.
    (project / "objects.yaml").write_text("\n---\n".join(map(json.dumps, loop.objects().values())))
    (project / "rows.csv").write_bytes(loop.rows())
    (project / "scenario.toml").write_text(f'[[put]]\nfile = "rows.csv"\nuri = "{loop.ROWS}"\n')
    ended = mlops("run", "-f", project, "--state", tmp_path / "state", "--plain")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "helm-test-v1   production" in ended.stdout


@pytest.mark.parametrize("values", [*_BOTH, pytest.param({"demoMinio": {"enabled": True}}, id="demo")])
def test_every_probe_has_room_for_a_busy_node(values: helm.Values) -> None:
    """A second to answer in, the default, is what a node without cycles to spare does not give; and killing for that
    makes the node busier."""
    checked = 0
    for spec in helm.pods(helm.objects(values)).values():
        for container in spec["containers"]:
            for name in ("startupProbe", "readinessProbe", "livenessProbe"):
                if (probe := container.get(name)) is None:
                    continue
                checked += 1
                assert probe["timeoutSeconds"] >= 3, (container["name"], name)
                assert probe["failureThreshold"] >= 3, (container["name"], name)
                if name != "readinessProbe":
                    assert probe["periodSeconds"] * probe["failureThreshold"] >= 60, (container["name"], name)
            assert "livenessProbe" not in container or "readinessProbe" in container
    assert checked >= 3


def test_the_faults_are_tried_with_the_probes_of_the_chart() -> None:
    """Else the tests would be more patient than a kubelet."""
    (container,) = helm.pods(helm.objects())[helm.RELEASE]["containers"]
    probe = container["livenessProbe"]
    assert (probe["periodSeconds"], probe["failureThreshold"]) == (PROBE_SECONDS, PROBE_FAILURES)


def test_operators_that_are_not_ready_do_not_hold_up_a_drain() -> None:
    """Both wait for a definition that is gone: their budget must not keep a node from being emptied."""
    assert helm.one(helm.objects(), "PodDisruptionBudget")["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_the_demo_s_secrets_stay_with_the_models() -> None:
    """Model servers go on when the release is uninstalled, and start again only with their Secret."""
    found = helm.objects({"demoMinio": {"enabled": True, "namespaces": ["default"]}})
    kept = {
        each["metadata"]["name"]
        for each in found
        if each["kind"] == "Secret"
        and (each["metadata"].get("annotations") or {}).get("helm.sh/resource-policy") == "keep"
    }
    demo = {each["metadata"]["name"] for each in found if each["kind"] == "Secret"} - kept
    assert all("minio" in name for name in demo)
    assert kept == {f"mlops-store{role}" for role in ("", "-reader", "-server", "-remover", "-delivery")}
