"""The store is away, slow, full, changed behind everybody's back, or has other keys.

The faults run side by side, each with a MinIO of its own behind a door that can be shut.
"""

from __future__ import annotations

import io
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from minio.error import MinioException

from mlops.store import Store
from mlops.store.layout import blob_key
from mlops.store.s3 import S3Bucket
from mlops.store.settings import s3_settings
from tests.e2e_cluster.kubectl import OUR_KINDS, condition, eventually
from tests.faults_on_cluster import example
from tests.faults_on_cluster.asking import Asking
from tests.faults_on_cluster.conftest import Cluster
from tests.faults_on_cluster.example import DATASET, LOOP, RUN
from tests.faults_on_cluster.place import CHILDREN, OURS, SECRET, Place, give_secret
from tests.faults_on_cluster.together import Fault, side_by_side
from tests.servers.faults import Answer, Reset, faulty_proxy
from tests.servers.s3 import S3Server, minio

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.xdist_group("cluster"),
]

# After 1 minute the operator tries again what a whole Job's tries could not do.
RETRIED_SECONDS = 75.0
OF_THE_DATASET, OF_THE_RUN, OF_THE_VERSION = "dataset=parts", "run=parts", "model-version=parts-v1"


def away_for_a_moment(there: Place) -> str:
    """F36: for half a minute of each: reading, training, verifying, starting to serve. Each Job tries again itself."""
    there.apply(LOOP)
    for label in (OF_THE_DATASET, OF_THE_RUN, OF_THE_VERSION):
        _wait_for_jobs(there, label, 1)
        _shut_for(there, 25)
    there.takes("a server starts", lambda: there.list("pods", "mlops.dev/stage=production"), 240)
    _shut_for(there, 25)
    start = time.monotonic()
    example.ready(there)
    took = time.monotonic() - start
    counts = example.jobs(there)
    assert counts == {"Dataset parts ingest": 1, "TrainingRun parts train": 1, "ModelVersion parts-v1 verify": 1}
    return f"Ready {took:.0f} s after the last"


def _wait_for_jobs(there: Place, label: str, number: int) -> float:
    """The seconds until there are so many Jobs."""
    name, _, value = label.partition("=")
    return there.takes(f"{number} Jobs of {label}", lambda: len(there.jobs(**{name: value})) >= number, 300)


def _shut_for(there: Place, seconds: float) -> None:
    there.door.shut()
    time.sleep(seconds)
    there.door.open()


def away_for_long(there: Place, kind: str, name: str, label: str) -> str:
    """F36: longer than all tries of a Job: said so, and another Job does it when the store is back."""
    there.apply(LOOP)
    _wait_for_jobs(there, label, 1)
    there.door.shut()
    start = time.monotonic()
    said = there.says(kind, name, "StoreUnavailable", 400)
    told = time.monotonic() - start
    assert "attempt 2 follows" in said["message"], said
    assert said["status"] == "False"
    there.event(name, "StoreUnavailable")
    there.door.open()
    took = _wait_for_jobs(there, label, 2)
    assert took <= RETRIED_SECONDS
    example.ready(there)
    assert sum(example.jobs(there).values()) == 4, "one Job an attempt"
    return f"told after {told:.0f} s, another Job {took:.0f} s after it was back"


def away_while_reading(there: Place) -> str:
    return away_for_long(there, "dataset", "parts", OF_THE_DATASET)


def away_while_training(there: Place) -> str:
    return away_for_long(there, "trainingrun", "parts", OF_THE_RUN)


def away_while_verifying(there: Place) -> str:
    return away_for_long(there, "modelversion", "parts-v1", OF_THE_VERSION)


def away_at_deletion(there: Place) -> str:
    """F36: what serves goes on answering without the store, and deleting waits for nothing."""
    example.deploy(there)
    with Asking(there) as asking:
        there.door.shut()
        time.sleep(20)
    assert asking.failed == []
    took = there.takes("deleted", lambda: there("delete", OUR_KINDS, "--all", "--timeout=30s"), 30)
    took += there.takes("nothing is left", lambda: not there.list(CHILDREN, OURS), 60)
    return f"{asking.answered} requests answered meanwhile; deleted with all children in {took:.0f} s"


def slow_down_and_resets(there: Place) -> str:
    """F37: every other connection is told to slow down, is reset, or ends in the middle of a body: no difference."""
    unharmed = Reset(received=1 << 40)
    bad = [Answer(503, "SlowDown"), Reset(received=700), Reset(received=3000, politely=True), Reset(sent=500)]
    with faulty_proxy(there.store.endpoint, [fault for one in bad * 50 for fault in (one, unharmed)]) as proxy:
        there.door.target = ("127.0.0.1", proxy.port)
        example.deploy(there)
        harmed = (2 * len(bad) * 50 - len(proxy.faults)) // 2
    assert harmed >= 4, "one at least in each pod"
    assert sum(example.jobs(there).values()) == 3
    return f"{harmed} connections harmed"


def full_disk(there: Place) -> str:
    """F38: a full disk is a reason, not a loop; with space again, a sync that is asked for succeeds."""
    with _small_store(there) as small:
        client = small.client()
        filled = _fill(small)
        there.apply(LOOP)
        said = there.says("dataset", "parts", "NoSpace", 300)
        assert condition(there.get("dataset", "parts"), "Stalled")["status"] == "True"
        there.event("parts", "NoSpace")
        time.sleep(20)
        (job,) = there.jobs(dataset="parts")
        assert job["status"]["failed"] == 1, "tried once"
        for name in filled:
            client.remove_object("mlops", name)
        _ask_for_a_sync(there)
        example.ready(there)
    return f"one pod: {said['message']}"


@contextmanager
def _small_store(there: Place) -> Iterator[S3Server]:
    """A MinIO on a disk of 96 MiB in the place of the one that there is."""
    folder = there.folder / "small"
    data = folder / "data"
    data.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(data)], check=True)
    try:
        with minio(folder) as small:
            address = urlsplit(small.endpoint)
            there.store, there.door.target = small, (str(address.hostname), int(address.port or 0))
            for bucket in ("raw", "mlops"):
                small.client().make_bucket(bucket)
            there.put_data()
            give_secret(there)
            yield small
    finally:
        subprocess.run(["umount", "--lazy", str(data)], check=True)


def _fill(small: S3Server) -> list[str]:
    """Put objects until none fits any more."""
    filled: list[str] = []
    for size in (8 << 20, 1 << 20, 1 << 16, 1 << 12):
        while len(filled) < 500:
            try:
                small.client().put_object("mlops", f"filler-{len(filled)}", io.BytesIO(bytes(size)), size)
            except MinioException:
                break
            filled.append(f"filler-{len(filled)}")
    return filled


def _ask_for_a_sync(there: Place) -> None:
    """What a person does who has mended something outside."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    there("annotate", "--overwrite", "dataset", "parts", f"mlops.dev/requested-at={now}")


def changed_bytes(there: Place) -> str:
    """F39: changed data is not trained on, a changed model is not verified; told once, and the way out works."""
    there.apply(DATASET)
    data = there.ready("dataset", "parts")["status"]["artifact"]
    there.apply(RUN.replace("metadata: {name: parts}", "metadata: {name: deceived}")) if _change(there, data) else None
    said = there.says("trainingrun", "deceived", "DigestMismatch", 300)
    assert condition(there.get("trainingrun", "deceived"), "Stalled")["status"] == "True"
    (job,) = there.jobs(run="deceived")
    assert job["status"]["failed"] == 1, "tried once"
    _change(there, data)
    there.apply(RUN)
    example.ready(there, RUN)
    model = there.get("modelversion", "parts-v1")["status"]["artifact"]
    _change(there, model)
    version = f"""
apiVersion: mlops.dev/v1alpha1
kind: ModelVersion
metadata: {{name: parts-v7}}
spec: {{modelName: parts, version: 7, artifact: {{digest: "{model}"}}}}
"""
    there.apply(version)
    there.says("modelversion", "parts-v7", "DigestMismatch", 300)
    there.event("parts-v7", "DigestMismatch")
    assert there.get("modelversion", "parts-v1")["status"]["stages"] == ["production"]
    _change(there, model)
    there("delete", "modelversion", "parts-v7")
    there.apply(version)
    there.ready("modelversion", "parts-v7")
    return f"one pod: {said['message'][:120]}"


def _change(there: Place, artifact: str) -> bool:
    """Change one byte of an artifact in the store; twice is as it was."""
    store = Store(S3Bucket(s3_settings(there.store.environ()), "mlops"))
    key = blob_key(max(store.manifest(artifact).entries, key=lambda entry: entry.size).sha256)
    answer = there.store.client().get_object("mlops", key)
    data = bytearray(answer.data)
    answer.close()
    data[len(data) // 2] ^= 1
    there.store.client().put_object("mlops", key, io.BytesIO(bytes(data)), len(data))
    return True


def keys_missing(there: Place) -> str:
    """F40: without the Secret the pods start and say what is missing; made, another Job follows by itself."""
    there("delete", "secret", SECRET)
    there.apply(LOOP)
    start = time.monotonic()
    said = there.says("dataset", "parts", "CredentialsMissing", 400)
    told = time.monotonic() - start
    assert SECRET in said["message"], said
    there.event("parts", "CredentialsMissing")
    give_secret(there)
    took = _wait_for_jobs(there, OF_THE_DATASET, 2)
    assert took <= RETRIED_SECONDS
    example.ready(there)
    return f"told after {told:.0f} s, another Job {took:.0f} s after it was made"


def keys_rotated(there: Place) -> str:
    """F40: what is started after a change of the keys has the new ones; what serves goes on; wrong ones are told."""
    first, second = (there.store.new_user("raw", "mlops") for _ in range(2))
    give_secret(there, AWS_ACCESS_KEY_ID=first.access_key, AWS_SECRET_ACCESS_KEY=first.secret_key)
    example.deploy(there)
    there.store.remove_user(first)
    with Asking(there) as asking:
        _ask_for_a_sync(there)
        said = there.says("dataset", "parts", "AccessDenied", 300)
        give_secret(there, AWS_ACCESS_KEY_ID=second.access_key, AWS_SECRET_ACCESS_KEY=second.secret_key)
        time.sleep(1.1)
        _ask_for_a_sync(there)
        example.ready(there)
        there("rollout", "restart", "deployment", "parts-production")
        eventually("new pods serve", lambda: _rolled_out(there), 120, told=there.told)
    assert asking.failed == []
    return f"{said['message'][:80]}; {asking.answered} requests answered meanwhile"


def _rolled_out(there: Place) -> bool:
    done = there.run("rollout", "status", "deployment", "parts-production", "--timeout=60s")
    return done.returncode == 0


FAULTS: dict[str, Fault] = {
    "F36 away while reading": away_while_reading,
    "F36 away while training": away_while_training,
    "F36 away while verifying": away_while_verifying,
    "F36 away briefly of each": away_for_a_moment,
    "F40 keys missing": keys_missing,
    "F40 keys rotated": keys_rotated,
    "F36 away at deletion": away_at_deletion,
    "F37 slow down and resets": slow_down_and_resets,
    "F38 full disk": full_disk,
    "F39 changed bytes": changed_bytes,
}


@pytest.fixture(scope="module")
def outcomes(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Mapping[str, Future[str]]]:
    with side_by_side(cluster, FAULTS, request, at_a_time=3) as started:
        yield started


@pytest.mark.parametrize("fault", [pytest.param(name, id=name) for name in FAULTS])
def test_it_is_told_and_gone_when_the_store_is_well(outcomes: Mapping[str, Future[str]], fault: str) -> None:
    """A reason while it lasts, Ready afterwards, and no more Jobs than attempts."""
    print(f"{fault}: {outcomes[fault].result()}")


def test_nothing_of_it_surprised_the_operator(cluster: Cluster) -> None:
    """No traceback in a log, one restart at most."""
    assert cluster.surprises() == []
