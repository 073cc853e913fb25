"""A source with a service and keys of its own: read with them alone, and never a request of one party to the other."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mlops.api import tasks
from mlops.api.dataset import DatasetSpec, HttpSource
from mlops.store import AccessDenied, CredentialsMissing
from mlops.workloads.floor.pod import BadInput, PassingFault, Pod
from mlops.workloads.ingest.credentials import authorization
from mlops.workloads.ingest.download import http_file
from mlops.workloads.ingest.run import ingest
from tests.servers.s3 import S3Server, minio
from tests.workloads.ingest.conftest import a_frame, a_spec

ROWS = a_frame().write_csv().encode()
LOOPBACK = {"MLOPS_HTTP_ALLOWED_NETWORKS": "127.0.0.0/8"}


def a_source(uri: str, secret: str | None = "vendor") -> DatasetSpec:
    """The contract of the other tests, read from `uri` with a Secret."""
    return a_spec(source={"s3": {"uri": uri} | ({"secretRef": {"name": secret}} if secret else {})})


def a_task(spec: DatasetSpec) -> tasks.IngestTask:
    return tasks.IngestTask(namespace="shop", dataset="things", as_of="2024-02-01T00:00:00Z", spec=spec)


def as_source(environ: dict[str, str]) -> dict[str, str]:
    """The keys of a source's Secret as a pod finds them."""
    return {f"SOURCE_{name}": value for name, value in environ.items()}


def read(environ: dict[str, str], spec: DatasetSpec, scratch: Path) -> tasks.IngestReport:
    """Ingest in a pod with this environment."""
    scratch.mkdir()
    return ingest(Pod(environ, scratch), a_task(spec))


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Another party's service, with other keys than the store's."""
    with minio(tmp_path_factory.mktemp("vendor"), tls=True) as server:
        yield server


def deliver(server: S3Server) -> str:
    """Put rows into a new bucket, and return the URI of their prefix."""
    bucket = server.new_bucket()
    server.client().put_object(bucket, "things/1.csv", BytesIO(ROWS), len(ROWS))
    return f"s3://{bucket}/things/"


def store_of(server: S3Server) -> dict[str, str]:
    """The environment of a pod whose store is a new bucket of `server`."""
    return server.environ() | {"MLOPS_STORE": f"s3://{server.new_bucket()}", "MLOPS_S3_SECRET": "shop/mlops-store"}


@pytest.mark.s3
def test_rows_come_from_one_service_and_their_version_goes_to_another(
    minio_server: S3Server, vendor: S3Server, tmp_path: Path
) -> None:
    """Each with its own endpoint, keys and authority of its certificate."""
    its = vendor.environ()
    secret = as_source(its | {"MLOPS_S3_CA": Path(its.pop("MLOPS_S3_CA_FILE")).read_text()})
    secret = {name: value for name, value in secret.items() if not name.endswith("_FILE")}
    report = read(store_of(minio_server) | secret, a_source(deliver(vendor)), tmp_path / "pod")
    assert report.rows == 40


@pytest.mark.s3
def test_two_users_of_one_service_each_reach_their_own(minio_server: S3Server, tmp_path: Path) -> None:
    """The store's user may not read the source, the source's user may not write the store: with both it works."""
    store, source = minio_server.new_bucket(), deliver(minio_server)
    ours = minio_server.new_user(store).environ()
    theirs = minio_server.new_user(source.removeprefix("s3://").partition("/")[0]).environ()
    environ = ours | {"MLOPS_STORE": f"s3://{store}"}
    assert read(environ | as_source(theirs), a_source(source), tmp_path / "both").rows == 40
    with pytest.raises(AccessDenied):
        read(environ | as_source(theirs), a_source(source, secret=None), tmp_path / "ours")
    with pytest.raises(AccessDenied):
        read(theirs | {"MLOPS_STORE": f"s3://{store}"} | as_source(theirs), a_source(source), tmp_path / "theirs")


@pytest.mark.s3
def test_history_beside_captures_has_its_own_keys_too(minio_server: S3Server, tmp_path: Path) -> None:
    history = {"s3": {"uri": deliver(minio_server), "secretRef": {"name": "vendor"}}}
    spec = a_spec(source={"captured": {"modelName": "things", "window": "3650d", "history": history}})
    environ = {"MLOPS_STORE": f"file://{tmp_path}/store"} | as_source(minio_server.environ())
    assert read(environ, spec, tmp_path / "pod").rows == 40


class _Stranger(BaseHTTPRequestHandler):
    seen: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        _Stranger.seen.append((self.path, self.headers["Authorization"]))
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
        else:
            self.send_response(401 if self.path == "/private" and not self.headers["Authorization"] else 200)
        body = b"" if self.path.startswith("/to/") else ROWS
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def stranger() -> Iterator[int]:
    """A server that writes down every request; its port. It listens on 127.0.0.1 and, by another name, 127.0.0.2."""
    _Stranger.seen.clear()
    running = ThreadingHTTPServer(("0.0.0.0", 0), _Stranger)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield running.server_port
    running.shutdown()
    running.server_close()
    thread.join()


KEYS = {"AWS_ACCESS_KEY_ID": "theirs", "AWS_SECRET_ACCESS_KEY": "secret-of-theirs"}
OURS = {
    "AWS_ACCESS_KEY_ID": "ours",
    "AWS_SECRET_ACCESS_KEY": "secret-of-ours",
    "AWS_SESSION_TOKEN": "token-of-ours",
    "MLOPS_STORE": "s3://store",
    "MLOPS_S3_SECRET": "shop/mlops-store",
}


@pytest.mark.parametrize(
    ("secret", "missing"),
    [
        pytest.param({}, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY and MLOPS_S3_ENDPOINT", id="no Secret"),
        pytest.param({"MLOPS_S3_ENDPOINT": "STRANGER"}, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", id="no keys"),
        pytest.param(
            {"MLOPS_S3_ENDPOINT": "STRANGER", "AWS_ACCESS_KEY_ID": "theirs"},
            "AWS_SECRET_ACCESS_KEY",
            id="half the keys",
        ),
        pytest.param(KEYS, "MLOPS_S3_ENDPOINT", id="no endpoint"),
    ],
)
def test_what_a_secret_lacks_is_never_taken_from_the_other_party(
    stranger: int, tmp_path: Path, secret: dict[str, str], missing: str
) -> None:
    """Our keys go to no endpoint of a stranger's, his keys not to ours: nothing is sent; it says what is missing."""
    address = f"http://127.0.0.1:{stranger}"
    given = {name: value.replace("STRANGER", address) for name, value in secret.items()}
    with pytest.raises(CredentialsMissing) as caught:
        read(OURS | {"MLOPS_S3_ENDPOINT": address} | as_source(given), a_source("s3://raw/x/"), tmp_path / "pod")
    assert str(caught.value).startswith(f'{missing}: not set; Secret "vendor" in namespace "shop" must hold this')
    assert caught.value.retryable
    assert _Stranger.seen == []


def test_nothing_of_the_stores_goes_out_with_a_sources_request(stranger: int, tmp_path: Path) -> None:
    """Neither key nor session token."""
    secret = as_source(KEYS | {"MLOPS_S3_ENDPOINT": f"http://127.0.0.1:{stranger}"})
    with pytest.raises(CredentialsMissing, match='Secret "mlops-store"'):  # only when the version is to be stored
        read(OURS | secret, a_source("s3://raw/x/1.csv"), tmp_path / "pod")
    assert _Stranger.seen
    assert all("Credential=theirs/" in str(header) for _, header in _Stranger.seen)


def test_a_secret_cannot_make_a_folder_of_the_pod_a_bucket(tmp_path: Path) -> None:
    """Only the documented keys count."""
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/1.csv").write_bytes(ROWS)
    with pytest.raises(CredentialsMissing):
        read(OURS | as_source({"MLOPS_BUCKETS": f"file://{tmp_path}"}), a_source("s3://raw/1.csv"), tmp_path / "pod")


def test_on_one_machine_the_buckets_are_folders_and_no_secret_is_needed(tmp_path: Path) -> None:
    """The manifest that a cluster takes works as it is."""
    (tmp_path / "buckets/raw").mkdir(parents=True)
    (tmp_path / "buckets/raw/1.csv").write_bytes(ROWS)
    environ = {"MLOPS_STORE": f"file://{tmp_path}/store", "MLOPS_BUCKETS": f"file://{tmp_path}/buckets"}
    assert read(environ, a_source("s3://raw/1.csv"), tmp_path / "pod").rows == 40


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({}, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY and MLOPS_S3_ENDPOINT: not set", id="no Secret"),
        pytest.param(
            {"MLOPS_S3_ENDPOINT": "http://x", "AWS_ACCESS_KEY_ID": "a\nb", "AWS_SECRET_ACCESS_KEY": "c"},
            "AWS_ACCESS_KEY_ID: holds a line break or a character beyond ASCII",
            id="two lines",
        ),
    ],
)
def test_a_pod_without_the_stores_secret_says_so_and_is_tried_again(
    tmp_path: Path, changes: dict[str, str], says: str
) -> None:
    """A termination message with Secret, namespace and keys, exit code 1, and no traceback."""
    environ = {
        "PATH": os.environ["PATH"],
        "MLOPS_STORE": "s3://store",
        "MLOPS_S3_SECRET": "shop/mlops-store",
        "MLOPS_TERMINATION_LOG": str(tmp_path / "log"),
        "MLOPS_TASK": json.dumps(a_task(a_source("s3://raw/x/", secret=None)).dump()),
        **changes,
    }
    done = subprocess.run([sys.executable, "-m", "mlops.workloads"], env=environ, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    report = tasks.parse_report((tmp_path / "log").read_text())
    assert isinstance(report, tasks.FailureReport)
    assert report.reason == "CredentialsMissing"
    assert report.message == f'{says}; Secret "mlops-store" in namespace "shop" must hold this: make or mend it, ' + (
        "it is tried again"
    )


# --- web servers ---


def a_web_source(url: str) -> dict[str, Any]:
    return {"http": {"url": url, "sha256": hashlib.sha256(ROWS).hexdigest(), "secretRef": {"name": "web"}}}


def test_a_web_server_gets_the_header_of_the_secret(stranger: int, tmp_path: Path) -> None:
    """As it stands in the Secret, without the line break that a file ends with."""
    environ = LOOPBACK | {"MLOPS_STORE": f"file://{tmp_path}/store", "SOURCE_AUTHORIZATION": "Bearer abc\n"}
    spec = a_spec(source=a_web_source(f"http://127.0.0.1:{stranger}/private"))
    assert read(environ, spec, tmp_path / "pod").rows == 40
    assert _Stranger.seen == [("/private", "Bearer abc")]


@pytest.mark.parametrize(
    ("host", "kept"),
    [
        pytest.param("http://files.example", True, id="same place"),
        pytest.param("http://FILES.example.", True, id="same place in other letters"),
        pytest.param("http://other.example", False, id="other host"),
        pytest.param("http://files.example.evil.example", False, id="host that begins alike"),
        pytest.param("//other.example", False, id="other host by a short form"),
    ],
)
def test_a_redirect_takes_the_header_nowhere_else(stranger: int, tmp_path: Path, host: str, kept: bool) -> None:
    source = HttpSource.model_validate(
        a_web_source(f"http://files.example:{stranger}/to/{host}:{stranger}/end")["http"]
    )
    list(http_file(source, LOOPBACK, tmp_path, lambda *_: ["127.0.0.1"], "Bearer abc"))
    assert [header for _, header in _Stranger.seen] == ["Bearer abc", "Bearer abc" if kept else None]


def test_a_redirect_to_another_port_takes_no_header_along(stranger: int, tmp_path: Path) -> None:
    """Another port is another server."""
    second = ThreadingHTTPServer(("127.0.0.1", 0), _Stranger)
    thread = threading.Thread(target=second.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{stranger}/to/http://127.0.0.1:{second.server_port}/end"
        list(
            http_file(
                HttpSource.model_validate(a_web_source(url)["http"]), LOOPBACK, tmp_path, authorization="Bearer x"
            )
        )
    finally:
        second.shutdown()
        second.server_close()
        thread.join()
    assert [header for _, header in _Stranger.seen] == ["Bearer x", None]


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        pytest.param({}, 'AUTHORIZATION: Secret "web" in namespace "shop" must hold', id="no Secret"),
        pytest.param({"SOURCE_AUTHORIZATION": " \n"}, 'Secret "web" in namespace "shop" must hold', id="empty"),
        pytest.param({"SOURCE_AUTHORIZATION": "a\r\nX: b"}, "holds what no header may", id="two headers"),
        pytest.param({"SOURCE_AUTHORIZATION": "Bearer ä"}, "holds what no header may", id="umlaut"),
    ],
)
def test_without_a_usable_header_nothing_is_sent(
    stranger: int, tmp_path: Path, environ: dict[str, str], says: str
) -> None:
    """It waits for the Secret; the header itself is never repeated."""
    spec = a_spec(source=a_web_source(f"http://127.0.0.1:{stranger}/private"))
    with pytest.raises(PassingFault) as caught:
        read(LOOPBACK | environ, spec, tmp_path / "pod")
    assert caught.value.reason == "CredentialsMissing"
    assert says in caught.value.message
    assert _Stranger.seen == []


def test_without_a_cluster_a_web_source_whose_secret_nobody_gave_says_where_it_may_stand(tmp_path: Path) -> None:
    """It is final: waiting would not bring a Secret."""
    environ = {"MLOPS_STORE": f"file://{tmp_path}/store", "MLOPS_BUCKETS": f"file://{tmp_path}"}
    with pytest.raises(BadInput, match="without a cluster a Secret stands in a manifest"):
        read(environ, a_spec(source=a_web_source("https://example.com/x")), tmp_path / "pod")


def test_without_a_cluster_a_secret_that_was_given_counts() -> None:
    source = HttpSource.model_validate(a_web_source("https://example.com/x")["http"])
    environ = {"MLOPS_BUCKETS": "file:///buckets", "SOURCE_AUTHORIZATION": "Bearer x"}
    assert authorization(source, "shop", environ) == "Bearer x"
