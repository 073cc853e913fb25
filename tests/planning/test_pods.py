"""The shapes that the pods of all workloads have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mlops.api import tasks
from mlops.api.model_version import Capture
from mlops.api.resources import Resources
from mlops.planning import pods
from mlops.planning.plan import Plan
from tests.planning.builders import SETTINGS, a_dataset, digest

DEFAULT = pods.resources(cpu="1", memory="2Gi", cpu_limit="3", memory_limit="4Gi")


def test_resources_are_requests_and_limits() -> None:
    """As a container has them."""
    found = pods.resources(cpu="1", memory="2Gi", cpu_limit="3", memory_limit="4Gi")
    assert found == DEFAULT == {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "3", "memory": "4Gi"}}


@pytest.mark.parametrize(
    ("wanted", "requests", "limits"),
    [
        pytest.param(None, {}, {}, id="nothing"),
        pytest.param({"requests": {"cpu": "7"}}, {"cpu": "7"}, {"cpu": "7"}, id="a request"),
        pytest.param({"limits": {"memory": "9Gi"}}, {"memory": "9Gi"}, {"memory": "9Gi"}, id="a limit"),
        pytest.param({"requests": {"cpu": "5"}, "limits": {"cpu": "6"}}, {"cpu": "5"}, {"cpu": "6"}, id="both"),
    ],
)
def test_what_a_user_names_goes_over_the_default(
    wanted: dict[str, dict[str, str]] | None, requests: dict[str, str], limits: dict[str, str]
) -> None:
    """Per resource, and one side for the other: a request above its limit would be refused."""
    found = pods.amounts(Resources.model_validate(wanted) if wanted else None, DEFAULT)
    assert found == {"requests": DEFAULT["requests"] | requests, "limits": DEFAULT["limits"] | limits}
    assert DEFAULT["requests"] == {"cpu": "1", "memory": "2Gi"}, "the default is everybody's"


# --- containers, pods and Jobs ---

VERIFY = tasks.VerifyTask(namespace="team", model_name="rain", version=1, artifact=digest("1"))
REMOVE = tasks.RemoveTask(namespace="team", dataset="weather", artifacts=(digest("a"),))
FETCH = tasks.FetchTask(namespace="team", run="rain-1", dataset_artifact=digest("a"), dataset_digest=digest("1"))
SERVE = tasks.ServeTask(
    namespace="team", model_name="rain", version=1, stage="production", artifact=digest("1"), capture=Capture()
)
TRAIN = tasks.TrainTask(
    namespace="team",
    run="rain-1",
    dataset_artifact=digest("a"),
    dataset_digest=digest("1"),
    environment_digest=digest("e"),
)


def told(container: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}


def test_the_shapes_of_jobs_and_what_is_in_them(golden: Callable[[str, Plan], None]) -> None:
    """A Job and a CronJob with all that they may have, of one of our containers and a server's."""
    owner, labels, notes = a_dataset(), {"mlops.dev/dataset": "weather"}, {"mlops.dev/as-of": "now"}
    main = pods.container(
        SETTINGS,
        VERIFY,
        DEFAULT,
        name="one",
        source_secret="keys-of-the-source",
        env=[pods.JOB_NAME_VARIABLE],
        volume_mounts=[{"name": "inputs", "mountPath": "/inputs"}],
        tty=True,
    )
    server = pods.container(SETTINGS, SERVE, DEFAULT, volume_mounts=[{"name": "inputs", "mountPath": "/inputs"}])
    template = pods.pod(
        SETTINGS,
        labels,
        [server],
        annotations=notes,
        initContainers=[main],
        priorityClassName="high",
    )
    job = pods.job(owner, "one", labels, template, backoff_limit=4, active_deadline_seconds=77, annotations=notes)
    cron_job = pods.cron_job(
        owner,
        "two",
        labels,
        pods.pod(SETTINGS, labels, [pods.container(SETTINGS, VERIFY, DEFAULT)]),
        schedule="0 * * * *",
        time_zone="Europe/Berlin",
        suspend=True,
        starting_deadline_seconds=60,
        backoff_limit=4,
        active_deadline_seconds=77,
        annotations=notes,
    )
    golden("jobs", Plan(create=(job,), apply=(cron_job,)))


def test_what_is_not_named_is_left_out_of_a_job() -> None:
    """An empty field would be an edit at each apply."""
    template = pods.pod(SETTINGS, {}, [pods.container(SETTINGS, VERIFY, DEFAULT)])
    assert template["metadata"] == {"labels": {}}
    assert template["spec"]["restartPolicy"] == "Never"
    job = pods.job(a_dataset(), "one", {}, template, backoff_limit=1, active_deadline_seconds=1)
    assert set(job["metadata"]) == {"name", "namespace", "labels", "ownerReferences"}
    cron_job = pods.cron_job(
        a_dataset(),
        "two",
        {},
        template,
        schedule="0 * * * *",
        time_zone=None,
        suspend=False,
        starting_deadline_seconds=None,
        backoff_limit=1,
        active_deadline_seconds=1,
    )
    assert set(cron_job["metadata"]) == {"name", "namespace", "labels", "ownerReferences"}
    assert (cron_job["spec"]["timeZone"], cron_job["spec"]["suspend"]) == ("UTC", False)
    assert "startingDeadlineSeconds" not in cron_job["spec"]


@pytest.mark.parametrize(
    ("task", "secret"),
    [
        pytest.param(SERVE, "server", id="serves"),
        pytest.param(FETCH, "reader", id="fetches"),
        pytest.param(VERIFY, "reader", id="verifies"),
        pytest.param(REMOVE, "remover", id="removes"),
        pytest.param(TRAIN, "mlops-store", id="trains"),
    ],
)
def test_each_task_has_the_secret_of_what_it_may_do(task: tasks.Task, secret: str) -> None:
    """If the installation names one: else that of the store. A server is given it as files, which are renewed."""
    apart = replace(SETTINGS, reader_secret="reader", server_secret="server", remover_secret="remover")
    assert pods.secret_of(apart, task) == secret
    assert pods.secret_of(SETTINGS, task) == "mlops-store"
    container = pods.container(apart, task, DEFAULT)
    assert told(container)["MLOPS_S3_SECRET"] == f"team/{secret}"
    [volume] = [each for each in pods.pod(apart, {}, [container])["spec"]["volumes"] if "secret" in each] or [None]
    if task is SERVE:
        assert volume == {"name": "store-keys", "secret": {"secretName": secret, "optional": True}}
        assert told(container)["MLOPS_S3_KEYS"] == "/var/run/mlops/store-keys"
        assert "envFrom" not in container
    else:
        assert volume is None
        assert "MLOPS_S3_KEYS" not in told(container)
        assert container["envFrom"] == [{"secretRef": {"name": secret, "optional": True}}]


def test_a_server_is_given_the_keys_of_the_store_if_it_has_none_of_its_own() -> None:
    """In its volume as well."""
    volumes = pods.pod(SETTINGS, {}, [pods.container(SETTINGS, SERVE, DEFAULT)])["spec"]["volumes"]
    assert {"name": "store-keys", "secret": {"secretName": "mlops-store", "optional": True}} in volumes


@pytest.mark.parametrize(
    ("store", "told_of"),
    [
        pytest.param("s3://a/{namespace}/v1", ("s3://a/team/v1", "s3://a"), id="one per namespace"),
        pytest.param("s3://a/x-{namespace}", ("s3://a/x-team", "s3://a"), id="by a part of a name"),
        pytest.param("s3://a/", ("s3://a/", None), id="one for all"),
        pytest.param(None, (None, None), id="none"),
    ],
)
def test_a_pod_is_told_the_store_of_its_namespace(store: str | None, told_of: tuple[str | None, str | None]) -> None:
    """And what the stores of all lie under, since that is no source."""
    environment = {} if store is None else {"MLOPS_STORE": store}
    found = told(pods.container(replace(SETTINGS, environment=environment), VERIFY, DEFAULT))
    assert (found.get("MLOPS_STORE"), found.get("MLOPS_STORE_ROOT")) == told_of


def test_an_installation_decides_much_and_not_the_bits_of_a_model() -> None:
    """Nor what is imported."""
    given = {"OMP_NUM_THREADS": "16", "PYTHONSAFEPATH": "", "TZ": "UTC"}
    settings = replace(SETTINGS, environment=given, pod_log_format="json")
    found = told(pods.container(settings, VERIFY, DEFAULT))
    assert (found["OMP_NUM_THREADS"], found["PYTHONSAFEPATH"], found["TZ"]) == ("1", "1", "UTC")
    assert found["MLOPS_LOG_FORMAT"] == "json"
    assert "MLOPS_LOG_FORMAT" not in told(pods.container(SETTINGS, VERIFY, DEFAULT))
    names = [each["name"] for each in pods.container(settings, VERIFY, DEFAULT)["env"]]
    assert names == [*names[:1], *sorted(names[1:])], "the same order each time: else a Deployment would roll"


@pytest.mark.parametrize(
    ("request_", "limit"),
    [("1Gi", "2Gi"), ("", "2Gi"), ("1Gi", ""), ("", "")],
    ids=["both", "limit", "request", "none"],
)
def test_what_a_container_may_take_of_a_disk_is_left_out_where_nobody_counts_it(request_: str, limit: str) -> None:
    """In its resources, and of each folder."""
    settings = replace(SETTINGS, scratch_request=request_, scratch_limit=limit)
    container = pods.container(settings, VERIFY, DEFAULT)
    for side, amount in (("requests", request_), ("limits", limit)):
        assert container["resources"][side] == {**DEFAULT[side], **({"ephemeral-storage": amount} if amount else {})}
    [volume] = pods.pod(settings, {}, [container])["spec"]["volumes"]
    assert volume == {"name": "tmp-main", "emptyDir": {"sizeLimit": limit} if limit else {}}


def test_a_folder_that_two_containers_share_is_one_volume() -> None:
    """Each has its own /tmp."""
    shared = [{"name": "inputs", "mountPath": "/inputs"}]
    one, two = (pods.container(SETTINGS, VERIFY, DEFAULT, name=name, volume_mounts=shared) for name in ("one", "two"))
    volumes = pods.pod(SETTINGS, {}, [one], initContainers=[two])["spec"]["volumes"]
    assert [each["name"] for each in volumes] == ["tmp-two", "inputs", "tmp-one"]
