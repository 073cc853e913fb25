"""The whole loop in real pods: the examples as they stand, a change of the relation, and then nothing is left.

The tests of this file are steps of one story and run in their order.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import onnxruntime
import polars as pl
import pytest
import urllib3

from mlops.local.records import read_objects
from mlops.store import Store
from tests.e2e import scenarios
from tests.e2e_cluster import audit
from tests.e2e_cluster.conftest import EXAMPLES, NAMESPACES, OPERATOR, RELEASE, ROOT, SYSTEM, World
from tests.e2e_cluster.kubectl import OUR_KINDS, Object, condition, eventually, is_ready, told
from tests.e2e_cluster.triton import triton
from tests.tracebacks import tracebacks

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1500), pytest.mark.xdist_group("cluster")]

HISTORY = timedelta(hours=20)

LATE_RUN = """
apiVersion: mlops.dev/v1alpha1
kind: TrainingRun
metadata: {name: late}
spec:
  datasetRef: {name: late}
  trainer: {estimator: {name: LogisticRegression}}
"""
LATE_DATASET = """
apiVersion: mlops.dev/v1alpha1
kind: Dataset
metadata: {name: late}
spec:
  source: {s3: {uri: "s3://raw/parts/"}}
  format: parquet
  fields:
    - {name: id, type: string, role: entityKey}
    - {name: time, type: timestamp, role: timestamp}
    - {name: height, type: float64}
    - {name: width, type: float64}
    - {name: depth, type: float64}
    - {name: fits, type: string, role: label, enum: ["no", "yes"]}
  split: {strategy: time, fractions: {train: "0.6", validation: "0.1", test: "0.3"}}
"""


@pytest.fixture(scope="module")
def applied(world: World) -> World:
    """Everything is applied, as a user does it, and the clock of the drift scenario starts."""
    for example in EXAMPLES:
        world.kubectl("apply", "-n", example, "-f", str(ROOT / "examples" / example))
    history = scenarios.frame(300, datetime.now(UTC) - HISTORY, timedelta(minutes=1), seed=1)
    world.bucket("raw").put("parts/history.parquet", _parquet(history))
    # Every minute a check of the last ten; the rest is the scenario of the loop on one machine.
    live = scenarios.MANIFESTS.replace('"0 0 * * *"', '"* * * * *"').replace("duration: 1d", "duration: 10m")
    live = live.replace("maxDelay: 1m", "maxDelay: 1s")
    world.kubectl("apply", "-n", "parts", "-f", "-", given=live)
    return world


@pytest.fixture(scope="module")
def digests_of_one_machine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The state folders of `mlops run` on the same manifests."""
    states = {}
    for example in EXAMPLES:
        states[example] = tmp_path_factory.mktemp(example) / "state"
        command = [str(Path(sys.executable).with_name("mlops")), "run", "-f", str(ROOT / "examples" / example)]
        done = subprocess.run(
            [*command, "--state", str(states[example]), "--plain", "--no-replay"], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return states


def test_every_object_of_every_example_becomes_ready(applied: World) -> None:
    """`kubectl wait` on all four kinds, in namespaces that enforce `restricted`."""
    start, kubectl = time.monotonic(), applied.kubectl
    for namespace in NAMESPACES:
        eventually(
            f"a ModelVersion in {namespace}",
            lambda namespace=namespace: kubectl.list("modelversions.mlops.dev", namespace) or None,
            420,
            told=lambda namespace=namespace: _state(applied, namespace),
        )
        waited = kubectl.run(
            "wait", "--for=condition=Ready", OUR_KINDS, "--all", "-n", namespace, "--timeout=240s", timeout=300
        )
        assert waited.returncode == 0, f"{waited.stderr}\n{_state(applied, namespace)}"
    applied.timed("all examples ready", start)
    everything = applied.kubectl.list(OUR_KINDS)
    assert all(is_ready(manifest) for manifest in everything), told(everything)
    shown = kubectl("get", "dset,trun,mver,dmon", "-A")
    print(shown)
    assert "weather-v1" in shown


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the images' Python 3.11 makes other bits than this one")
def test_the_digests_are_those_of_the_loop_on_one_machine(
    applied: World, digests_of_one_machine: dict[str, Path]
) -> None:
    """Data, inputs and model of every example, to the last bit; whoever knows the manifest knows the digest."""
    compared = 0
    for example, state in digests_of_one_machine.items():
        here = {(m["kind"], m["metadata"]["name"]): m for m in read_objects(state)}
        for manifest in applied.kubectl.list(
            "datasets.mlops.dev,trainingruns.mlops.dev,modelversions.mlops.dev", example
        ):
            key = (manifest["kind"], manifest["metadata"]["name"])
            if manifest["kind"] == "TrainingRun":
                # A run that a template fired is named by its spec: the same there and here.
                assert key in here
            there, local = _digests(manifest), _digests(here[key])
            assert there == local, key
            compared += len([value for value in there.values() if value])
    assert compared >= 4 * len(EXAMPLES)


def _digests(manifest: Object) -> dict[str, str | None]:
    status = manifest["status"]
    version = (status.get("history") or [{}])[-1]
    names = ("contentDigest", "inputsDigest", "outputDigest", "artifact", "schemaDigest", "format")
    found = {name: status.get(name) for name in names}
    return found | {f"version.{name}": version.get(name) for name in ("digest", "artifact")}


def test_an_outside_client_gets_its_answer_through_the_service(applied: World) -> None:
    """tritonclient against the Service's address: the numbers of onnxruntime on the model in the store."""
    (version,) = (v for v in applied.kubectl.list("modelversions.mlops.dev", "parts") if v["status"].get("stages"))
    rows = scenarios.frame(32, datetime.now(UTC), timedelta(seconds=0), seed=5)
    feeds = {name: rows[name].to_numpy().reshape(-1, 1) for name in scenarios.INPUTS}
    tensors = [triton.InferInput(name, [32, 1], "FP64") for name in scenarios.INPUTS]
    for tensor in tensors:
        tensor.set_data_from_numpy(feeds[tensor.name()])
    client = triton.InferenceServerClient(applied.service("parts-production", "parts"))
    try:
        result = client.infer("parts", tensors)
    finally:
        client.close()
    model = Store(applied.bucket("mlops")).read_file(version["status"]["artifact"], "model.onnx")
    session = onnxruntime.InferenceSession(model)
    (name,) = (output.name for output in session.get_outputs() if "probabilities" in output.name)
    assert np.array_equal(result.as_numpy("probabilities"), session.run([name], feeds)[0].astype(np.float64))


def test_a_changed_relation_is_found_and_a_new_version_goes_live(applied: World) -> None:
    """Real requests, real labels, real minutes: the loop closes by itself."""
    start, kubectl = time.monotonic(), applied.kubectl
    _send(applied, 1500)
    check = eventually(
        "a check that finds the change",
        lambda: next((c for c in _checks(applied) if c.get("action", "").startswith("Retrain: ")), None),
        240,
        told=lambda: _state(applied, "parts"),
    )
    assert check["verdict"] in ("ConceptDrift", "PerformanceDrop")
    applied.timed("drift found", start)

    def second() -> Object | None:
        found = kubectl.run("get", "modelversion", "parts-v2", "-n", "parts", "-o", "json")
        manifest: Object = json.loads(found.stdout) if found.returncode == 0 else {}
        return manifest if is_ready(manifest or {"metadata": {"generation": 0}}) else None

    version = eventually("parts-v2 is live", second, 240, told=lambda: _state(applied, "parts"))
    assert version["status"]["stages"]
    applied.timed("new version live", start)
    described = urllib3.request("GET", f"http://{applied.service('parts-production', 'parts')}/v2/models/parts").json()
    assert "2" in described["versions"]
    report = Store(applied.bucket("mlops")).read_file(check["report"], "report.html").decode()
    assert "<html" in report
    assert check["verdict"] in report


def _send(world: World, number: int) -> None:
    """Requests of this minute whose labels say the opposite of what the model learned."""
    now = datetime.now(UTC)
    rows = scenarios.frame(number, now, timedelta(0), seed=2, prefix="s", changed_at=now - timedelta(hours=1))
    url = f"http://{world.service('parts-production', 'parts')}"
    pool = urllib3.PoolManager(retries=urllib3.Retry(total=5, backoff_factor=0.2, allowed_methods=None))
    for index, chunk in enumerate(rows.iter_slices(50)):
        inputs = [
            {"name": name, "datatype": "FP64", "shape": [chunk.height, 1], "data": chunk[name].to_list()}
            for name in scenarios.INPUTS
        ]
        answer = pool.request("POST", f"{url}/v2/models/parts/infer", json={"id": f"batch-{index}", "inputs": inputs})
        assert answer.status == 200, answer.data
        labels = [{"id": f"batch-{index}", "row": row, "label": label} for row, label in enumerate(chunk["fits"])]
        answer = pool.request("POST", f"{url}/v2/models/parts/feedback", json={"labels": labels})
        assert answer.status in (200, 202), answer.data
    assert pool.request("POST", f"{url}/-/flush").status < 300


def _checks(world: World) -> list[Object]:
    history: list[Object] = world.kubectl.get("driftmonitor", "parts", "parts")["status"].get("history", [])
    return history


def test_a_bad_manifest_is_refused_and_a_missing_reference_heals(applied: World) -> None:
    """The API server names the field and what is allowed; what is missing is a condition until it is there."""
    kubectl = applied.kubectl
    bad = (ROOT / "examples/weather/weather.yaml").read_text().replace("format: parquet", "format: parket")
    refused = kubectl.run("apply", "-n", "weather", "-f", "-", given=bad)
    assert refused.returncode != 0
    assert 'spec.format: Unsupported value: "parket": supported values: ' in refused.stderr
    kubectl("apply", "-n", "parts", "-f", "-", given=LATE_RUN)

    def ready(status: str) -> Object | None:
        found = condition(kubectl.get("trainingrun", "late", "parts"), "Ready")
        return found if found.get("status") == status else None

    unknown = eventually("a condition that names the Dataset", lambda: ready("False") or ready("Unknown"), 30)
    assert "late" in unknown["message"]
    kubectl("apply", "-n", "parts", "-f", "-", given=LATE_DATASET)
    eventually("the run goes on by itself", lambda: ready("True"), 180, told=lambda: _state(applied, "parts"))
    kubectl("delete", "-n", "parts", "trainingrun/late", "dataset/late")


def test_helm_test_runs_a_tiny_run_and_a_prediction(applied: World) -> None:
    """What a person runs after an installation."""
    start = time.monotonic()
    print(applied.helm("test", RELEASE, "-n", SYSTEM, "--timeout", "5m", timeout=330))
    applied.timed("helm test", start)


def test_a_deleted_child_comes_back_and_an_edited_one_is_put_right(applied: World) -> None:
    """Deployment, Service and CronJob are what the operator says they are; a finished Job is not missed."""
    kubectl = applied.kubectl
    deleted = {"service": "parts-production", "cronjob": "parts-check"}
    uids = {kind: kubectl.get(kind, name, "parts")["metadata"]["uid"] for kind, name in deleted.items()}
    before = _owned_part(kubectl.get("deployment", "parts-production", "parts"))
    kubectl("delete", "jobs", "-l", "mlops.dev/run", "-n", "parts")
    for kind, name in deleted.items():
        kubectl("delete", kind, name, "-n", "parts", "--wait=false")
    container = {"name": "server", "image": "example.com/other:1"}
    edit = {"metadata": {"ownerReferences": None}, "spec": {"replicas": 0}}
    edit["spec"]["template"] = {"spec": {"containers": [container]}}
    kubectl("patch", "deployment", "parts-production", "-n", "parts", "-p", json.dumps(edit))

    def restored() -> bool:
        for kind, name in deleted.items():
            found = kubectl.run("get", kind, name, "-n", "parts", "-o", "json")
            if found.returncode != 0 or json.loads(found.stdout)["metadata"]["uid"] == uids[kind]:
                return False
        return _owned_part(kubectl.get("deployment", "parts-production", "parts")) == before

    eventually("all of it is as it was", restored, 20)
    assert kubectl.list("jobs", "parts", "mlops.dev/run") == []


def _owned_part(deployment: Object) -> Object:
    """What the operator answers for."""
    spec = deployment["spec"]
    return {
        "owners": deployment["metadata"].get("ownerReferences"),
        "replicas": spec["replicas"],
        "containers": spec["template"]["spec"]["containers"],
    }


def test_what_is_no_longer_wanted_goes(applied: World) -> None:
    """A look under an old spec, a CronJob without a schedule, the server of a stage that no version has any more."""
    kubectl = applied.kubectl
    brief = LATE_DATASET.replace("name: late", "name: brief")
    kubectl("apply", "-n", "parts", "-f", "-", given=brief + '  refresh: {schedule: "0 0 * * *"}\n')
    selector = "mlops.dev/dataset=brief"
    (first,) = eventually("the first look", lambda: kubectl.list("jobs", "parts", selector), 20, every=0.2)
    kubectl("apply", "-n", "parts", "-f", "-", given=brief + '  clean: [{filter: "height < 2"}]\n')

    def only_the_new_look() -> bool:
        jobs = kubectl.list("jobs", "parts", selector)
        alone = len(jobs) == 1 and jobs[0]["metadata"]["uid"] != first["metadata"]["uid"]
        return alone and not kubectl.list("cronjobs", "parts", selector)

    eventually("the old look and the CronJob are gone", only_the_new_look, 30)
    stages = '{"spec":{"promotion":{"stages":[{"name":"staging"}]}}}'
    kubectl("patch", "modelversion", "rain-v1", "-n", "own-trainer", "--type=merge", "-p", stages)

    def moved() -> bool:
        servers = kubectl.list("deployments,services", "own-trainer", "mlops.dev/model=rain")
        return {server["metadata"]["name"] for server in servers} == {"rain-staging"}

    eventually("it is served in the other stage only", moved, 60, told=lambda: _state(applied, "own-trainer"))


def test_an_autoscaler_comes_and_goes_and_the_pods_carry_what_is_asked(applied: World) -> None:
    """A stage with `autoscaling` and a `podTemplate`: the real controllers take both, and nobody is without a pod."""
    kubectl = applied.kubectl
    toleration = {"key": "models", "operator": "Exists", "effect": "NoSchedule"}
    template = {"nodeSelector": {"kubernetes.io/os": "linux"}, "tolerations": [toleration]}
    scaled = {"autoscaling": {"maxReplicas": 2, "targetCPUUtilization": 80}, "podTemplate": template}

    def patch(stage: Object) -> None:
        stages = json.dumps({"spec": {"promotion": {"stages": [{"name": "staging", **stage}]}}})
        kubectl("patch", "modelversion", "rain-v1", "-n", "own-trainer", "--type=merge", "-p", stages)

    def scalers() -> list[Object]:
        return kubectl.list("horizontalpodautoscalers", "own-trainer", "mlops.dev/model=rain")

    def carried() -> bool:
        pods = kubectl.list("pods", "own-trainer", "mlops.dev/model=rain,mlops.dev/stage=staging")
        if len(pods) != 1 or condition(pods[0], "Ready").get("status") != "True":
            return False
        spec = pods[0]["spec"]
        return spec.get("nodeSelector") == template["nodeSelector"] and toleration in spec["tolerations"]

    patch(scaled)
    (scaler,) = eventually("an autoscaler", scalers, 30)
    assert scaler["spec"]["scaleTargetRef"]["name"] == "rain-staging"
    assert scaler["spec"]["maxReplicas"] == 2
    eventually("a pod that carries what is asked", carried, 120, told=lambda: _state(applied, "own-trainer"))
    # A change of what the operator answers for: it is written again, and the number of pods is not.
    patch({**scaled, "autoscaling": {"maxReplicas": 3, "targetCPUUtilization": 80}})
    eventually("the new limit", lambda: scalers()[0]["spec"]["maxReplicas"] == 3, 30)
    patch({})
    eventually("no autoscaler", lambda: not scalers(), 30)
    eventually(
        "the version is ready",
        lambda: is_ready(kubectl.get("modelversion", "rain-v1", "own-trainer")),
        120,
        told=lambda: _state(applied, "own-trainer"),
    )


def test_no_log_has_a_traceback(applied: World) -> None:
    """Whatever happened until here, nothing of it was a surprise: to the operator, and to the pods of each stage."""
    synced_at = set()
    for namespace in (SYSTEM, *NAMESPACES):
        for pod in applied.kubectl.list("pods", namespace):
            name = pod["metadata"]["name"]
            # Of a pod that does not run yet kubectl has nothing to say.
            log = applied.kubectl.run("logs", name, "-n", namespace, "--all-containers").stdout
            assert not list(tracebacks(log)), f"{name}: {log[-4000:]}"
            synced_at.add(pod["metadata"].get("labels", {}).get("app.kubernetes.io/component", name))
    assert {"ingest", "train", "serve"} <= synced_at, synced_at
    for pod in applied.kubectl.list("pods", SYSTEM, "app.kubernetes.io/name=mlops-operator"):
        log = applied.kubectl("logs", pod["metadata"]["name"], "-n", SYSTEM, "--all-containers")
        assert "Traceback" not in log, log[-4000:]
        statuses = pod["status"].get("containerStatuses", ())
        if sum(one["restartCount"] for one in statuses):
            before = applied.kubectl("logs", pod["metadata"]["name"], "-n", SYSTEM, "--previous")
            events = applied.kubectl("get", "events", "-n", SYSTEM, "-o", "wide")
            ended = [one.get("lastState") for one in statuses]
            raise AssertionError(f"{pod['metadata']['name']} was restarted: {ended}\n{before[-6000:]}\n{events}")


def test_what_the_operator_may_do_is_what_it_does(applied: World) -> None:
    """Verbs granted and verbs used, from the API server's audit log: at most one in twenty is unused, none refused."""
    if applied.audit_log is None:
        pytest.skip("the audit log of somebody else's cluster is not ours to read")
    granted = audit.granted(applied.rules)
    used, refused = audit.used(applied.audit_log, f"system:serviceaccount:{SYSTEM}:{OPERATOR}")
    print(audit.table(granted, used))
    assert refused == set()
    unused = granted - used
    assert len(unused) <= 0.05 * len(granted), unused


DEMOS = "app.kubernetes.io/name=mlops-operator,app.kubernetes.io/component=minio"


def test_uninstalling_leaves_what_is_promised(applied: World) -> None:
    """Objects go with all that they own; definitions, claims and histories stay until somebody deletes them."""
    start, kubectl = time.monotonic(), applied.kubectl
    for namespace in NAMESPACES:
        kubectl("delete", OUR_KINDS, "--all", "-n", namespace, "--timeout=60s")
    children = "jobs,cronjobs,deployments,services,pods"
    ours = "app.kubernetes.io/managed-by=mlops-operator"
    eventually(
        "the children are gone",
        lambda: not kubectl.list(children, selector=ours),
        90,
        told=lambda: kubectl("get", children, "-A", "-l", ours),
    )
    applied.helm("uninstall", RELEASE, "-n", SYSTEM, "--wait", "--timeout", "2m")
    crds = [crd for crd in kubectl.list("crds") if crd["spec"]["group"] == "mlops.dev"]
    assert len(crds) == 4
    kubectl("delete", "crd", *(crd["metadata"]["name"] for crd in crds), "--timeout=60s")
    everything = "all,secrets,configmaps,serviceaccounts,roles,rolebindings,leases,pdb"
    # What every namespace has.
    baseline = {"ServiceAccount/default", "ConfigMap/kube-root-ca.crt"}

    def left() -> set[str]:
        return {f"{o['kind']}/{o['metadata']['name']}" for o in kubectl.list(everything, SYSTEM)} - baseline

    # The Lease is owned by the operator's service account: the garbage collector takes it.
    # The demo's Secrets stay for model servers that stay.
    roles = ("", "-reader", "-server", "-remover", "-delivery")
    promised = {"ConfigMap/mlops-operator", "ConfigMap/helm-test-history", *(f"Secret/mlops-store{r}" for r in roles)}
    eventually("no more is left than is promised", lambda: left() == promised, 60, told=lambda: str(left()))
    kubectl("delete", "configmap", "--all-namespaces", "-l", ours)
    kubectl("delete", "secret", "--all-namespaces", "-l", DEMOS)
    assert left() == set()
    roles = kubectl.list("clusterroles,clusterrolebindings", selector=f"app.kubernetes.io/instance={RELEASE}")
    assert [role["metadata"]["name"] for role in roles] == []
    applied.timed("uninstalled", start)


def _state(world: World, namespace: str) -> str:
    """All that helps a person to see why it does not go on."""
    objects = world.kubectl.list(OUR_KINDS, namespace)
    pods = world.kubectl("get", "pods,jobs,events", "-n", namespace, "-o", "wide")
    return f"{told(objects)}\n{pods}"


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()
