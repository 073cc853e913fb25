"""What becomes of captured rows while the store's keys are exchanged, or the store is away. Somebody asks fifty times a
second; every request is answered, and every row comes to the store."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import polars as pl
import pytest

from mlops.store import Store
from mlops.store.s3 import S3Bucket
from mlops.store.settings import s3_settings
from mlops.workloads.floor.records.layout import captures_prefix
from tests.faults_on_cluster import example
from tests.faults_on_cluster.asking import Asking
from tests.faults_on_cluster.conftest import Cluster
from tests.faults_on_cluster.example import DATASET, RUN
from tests.faults_on_cluster.place import Place, give_secret

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.xdist_group("cluster"),
]

RATE = 50
AWAY_SECONDS = 60
# A kubelet looks after mounted Secrets about once a minute, and keeps what it knows of one for another.
RENEWED_SECONDS = 240


def capturing(there: Place) -> None:
    """Have a model served whose requests are all captured, and stored every two seconds."""
    register = "  register: {modelName: parts, capture: {percent: 100, flushSeconds: 2}}"
    there.apply(f"{DATASET}---{RUN.replace('  register: {modelName: parts}', register)}")
    example.ready(there, RUN)


def stored_ids(there: Place) -> list[str]:
    """The ids of all rows in the store."""
    store = Store(S3Bucket(s3_settings(there.store.environ()), "mlops"))
    listed = list(_files(store, captures_prefix(there.name, "parts", "production")))
    return [str(each) for data in listed for each in pl.read_parquet(io.BytesIO(data), columns=["id"])["id"]]


def _files(store: Store, prefix: str) -> Iterator[bytes]:
    for found in store.list(prefix):
        yield store.get_object(found.key)


def all_are_stored(there: Place, asking: Asking, within: float) -> float:
    """Wait until each answered request has its row; returns the seconds."""
    took = there.takes("every row is stored", lambda: len(stored_ids(there)) >= asking.answered, within)
    ids = stored_ids(there)
    assert len(ids) == len(set(ids)) == asking.answered
    return took


def test_keys_are_rotated_and_no_row_is_lost(cluster: Cluster) -> None:
    """The old keys are revoked before the Secret has the new ones: captures wait, and the same pod stores them."""
    with cluster.place("captures rotated") as there:
        first, second = (there.store.new_user("raw", "mlops") for _ in range(2))
        give_secret(there, AWS_ACCESS_KEY_ID=first.access_key, AWS_SECRET_ACCESS_KEY=first.secret_key)
        capturing(there)
        pod = there.pod("mlops.dev/stage=production")["metadata"]["uid"]
        with Asking(there, rate=RATE) as asking:
            time.sleep(5)
            there.store.remove_user(first)
            time.sleep(15)
            give_secret(there, AWS_ACCESS_KEY_ID=second.access_key, AWS_SECRET_ACCESS_KEY=second.secret_key)
            time.sleep(5)
        assert asking.failed == []
        took = all_are_stored(there, asking, RENEWED_SECONDS)
        assert there.pod("mlops.dev/stage=production")["metadata"]["uid"] == pod, "nobody started it again"
        print(f"keys rotated: {asking.answered} requests, 0 failed, 0 rows lost, all stored {took:.0f} s later")


def test_the_store_is_away_and_no_row_is_lost(cluster: Cluster) -> None:
    """For a minute nothing goes through to the store: requests are answered, rows wait, and are stored afterwards."""
    with cluster.place("captures away") as there:
        capturing(there)
        with Asking(there, rate=RATE) as asking:
            time.sleep(5)
            there.door.shut()
            time.sleep(AWAY_SECONDS)
            there.door.open()
            time.sleep(5)
        assert asking.failed == []
        took = all_are_stored(there, asking, 120)
        print(f"store away: {asking.answered} requests, 0 failed, 0 rows lost, all stored {took:.0f} s later")
