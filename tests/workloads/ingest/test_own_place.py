"""The store's own place is no source, whoever asks and however it is written."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from mlops.api.dataset import S3Source, SecretRef
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.records.layout import captures_prefix
from mlops.workloads.ingest.own_place import check_outside
from tests.servers.s3 import S3Server
from tests.workloads.ingest.conftest import Desk, a_frame, a_spec

POD = {
    "MLOPS_STORE": "s3://company/ml/team",
    "MLOPS_S3_ENDPOINT": "http://localhost:9000",
    "MLOPS_S3_SECRET": "team/mlops-store",
    "AWS_ACCESS_KEY_ID": "ours",
}
PER_NAMESPACE = POD | {"MLOPS_STORE_ROOT": "s3://company/ml"}
OTHERS = {"SOURCE_MLOPS_S3_ENDPOINT": "http://minio.example:9000", "SOURCE_AWS_ACCESS_KEY_ID": "theirs"}


def refused(uri: str, environ: dict[str, str], secret: str | None = None) -> bool:
    """Whether a source is refused with the reason that its Dataset then shows. Not all of these pass the API."""
    source = S3Source.model_construct(uri=uri, secret_ref=SecretRef(name=secret) if secret else None)
    try:
        check_outside(source, "team", environ)
    except BadInput as error:
        return (error.reason, uri in error.message, "source.captured" in error.message) == ("SourceForbidden", 1, 1)
    return False


@pytest.mark.parametrize(
    ("uri", "environ", "is_refused"),
    [
        ("s3://company/ml/team/objects/captures/other/m/production/requests/", POD, True),
        ("s3://company/ml/team", POD, True),
        ("s3://company/ml/", POD, True),
        ("s3://company/", POD, True),
        ("s3://company/ML/Team/blobs/", POD, True),
        ("s3://company/ml/%74eam/blobs/", POD, True),
        ("s3://company/ml/ｔeam/blobs/", POD, True),
        ("s3://company/ml/teams/", POD, False),
        ("s3://company/ml/tea", POD, False),
        ("s3://company/mlx/team/", POD, False),
        ("s3://company/raw/ml/team/", POD, False),
        ("s3://companys/ml/team/", POD, False),
        ("s3://company/ml/other/objects/captures/other/", POD, False),
        ("s3://company/ml/other/objects/captures/other/", PER_NAMESPACE, True),
        ("s3://company/ml", PER_NAMESPACE, True),
        ("s3://company/raw/", PER_NAMESPACE, False),
        ("s3://company/anything/", POD | {"MLOPS_STORE": "s3://company"}, True),
        ("s3://company/anything/", POD | {"MLOPS_STORE": "s3://company/"}, True),
        ("s3://raw/anything/", POD | {"MLOPS_STORE": "s3://company"}, False),
    ],
)
def test_a_source_that_overlaps_with_the_store_is_refused(uri: str, environ: dict[str, str], is_refused: bool) -> None:
    """Inside it, around it, in a spelling that somebody on the way may take for the same; beside it, not."""
    assert refused(uri, environ) is is_refused


@pytest.mark.parametrize(
    ("secret", "changes", "is_refused"),
    [
        pytest.param("mine", {}, False, id="another service that has such a bucket"),
        pytest.param("mlops-store", {}, True, id="the store's Secret by its name"),
        pytest.param("mine", {"SOURCE_AWS_ACCESS_KEY_ID": " ours\n"}, True, id="the store's keys in another Secret"),
        pytest.param("mine", {"SOURCE_MLOPS_S3_ENDPOINT": "http://localhost:9000/"}, True, id="the same service"),
        pytest.param("mine", {"SOURCE_MLOPS_S3_ENDPOINT": "http://LOCALHOST.:9000"}, True, id="in other letters"),
        pytest.param("mine", {"SOURCE_MLOPS_S3_ENDPOINT": "http://127.0.0.1:9000"}, True, id="by its address"),
        pytest.param("mine", {"SOURCE_MLOPS_S3_ENDPOINT": "http://127.0.0.1:9001"}, False, id="on another port"),
        pytest.param("mine", {"SOURCE_MLOPS_S3_ENDPOINT": "http://[::1"}, False, id="no endpoint"),
        pytest.param("mine", {"SOURCE_MLOPS_S3_ENDPOINT": "nonsense"}, False, id="no host"),
    ],
)
def test_a_sources_own_secret_is_no_way_around(
    monkeypatch: pytest.MonkeyPatch, secret: str, changes: dict[str, str], is_refused: bool
) -> None:
    """What counts is whose keys are used, and of which service."""
    resolve = socket.getaddrinfo

    def offline(host: str, port: int, **more: Any) -> Any:
        if host not in ("localhost", "127.0.0.1"):
            raise socket.gaierror(f"no address for {host}")
        return resolve("127.0.0.1", port, **more)

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    assert refused("s3://company/ml/team/objects/", POD | OTHERS | changes, secret) is is_refused


def test_history_of_a_captured_source_is_a_source_like_any_other(desk: Desk) -> None:
    """The only other place where a Dataset names an address of S3."""
    (desk.root / "buckets").mkdir()
    (desk.root / "buckets/raw").symlink_to(desk.root / "store")
    captured = {"modelName": "shop", "window": "10d", "history": {"s3": {"uri": "s3://raw/objects/"}}}
    reason, message = desk.refusal(a_spec(source={"captured": captured}, split={"strategy": "time"}))
    assert (reason, "s3://raw/objects/" in message) == ("SourceForbidden", True)


@pytest.mark.parametrize("linked", ["bucket", "folder", "file"])
def test_a_link_in_a_folder_of_buckets_does_not_lead_into_the_store(desk: Desk, linked: str) -> None:
    """On one machine the store and the buckets are folders side by side."""
    key = captures_prefix("other", "m", "production") + "rows.csv"
    desk.store.put_object(key, a_frame().write_csv().encode())
    buckets, stored = desk.root / "buckets", desk.root / "store"
    if linked == "bucket":
        buckets.mkdir()
        (buckets / "raw").symlink_to(stored)
        uri = f"s3://raw/objects/{key}"
    elif linked == "folder":
        (buckets / "raw").mkdir(parents=True)
        (buckets / "raw/things").symlink_to(stored / "objects")
        uri = "s3://raw/things/"
    else:
        (buckets / "raw/things").mkdir(parents=True)
        (buckets / "raw/things/rows.csv").symlink_to(stored / "objects" / key)
        uri = "s3://raw/things/"
    with pytest.raises(BadInput) as caught:
        desk.ingest(a_spec(source={"s3": {"uri": uri}}))
    assert caught.value.reason == "SourceForbidden"


@pytest.mark.s3
def test_the_captures_of_another_namespace_are_not_read_with_the_stores_keys(
    minio_server: S3Server, desk: Desk, tmp_path: Path
) -> None:
    """A real store in a real service, whose keys could read them."""
    bucket = minio_server.new_bucket()
    environ = {**minio_server.environ(), "MLOPS_STORE": f"s3://{bucket}", "MLOPS_BUCKETS": ""}
    key = captures_prefix("other", "m", "production") + "rows.csv"
    desk.pod(**environ).store.put_object(key, a_frame().write_csv().encode())
    for uri in (f"s3://{bucket}/objects/{key}", f"s3://{bucket}/objects/captures/"):
        with pytest.raises(BadInput) as caught:
            desk.ingest(a_spec(source={"s3": {"uri": uri}}), environ=environ)
        assert caught.value.reason == "SourceForbidden"
