"""Real S3 services as fixtures: MinIO and versitygw, two implementations that share no code."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import urllib3
from minio import Minio
from minio.credentials import StaticProvider
from minio.error import MinioException
from minio.minioadmin import MinioAdmin

from tests.servers.process import free_port, program, running

SERVERS = [
    pytest.param("minio_server", id="minio"),
    # Another implementation, whose building takes minutes.
    pytest.param("versitygw_server", id="versitygw", marks=pytest.mark.long),
]
DOMAIN = "s3.test"
"""For virtual-host addressing: MinIO takes `<bucket>.s3.test` for the bucket's own host name."""


@dataclass(frozen=True)
class S3Server:
    """A running service: its endpoint (`http://127.0.0.1:port`) and the keys of its administrator."""

    endpoint: str
    access_key: str
    secret_key: str
    ca_file: str = ""

    def environ(self) -> dict[str, str]:
        """What a pod finds in its environment to reach this service."""
        return {
            "MLOPS_S3_ENDPOINT": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            **({"MLOPS_S3_CA_FILE": self.ca_file} if self.ca_file else {}),
        }

    def client(self) -> Minio:
        """The plain SDK, to look behind the back of what is tested."""
        scheme, _, host = self.endpoint.partition("://")
        pool = urllib3.PoolManager(retries=False, timeout=5, ca_certs=self.ca_file or None)
        return Minio(
            host,
            access_key=self.access_key,
            secret_key=self.secret_key,
            secure=scheme == "https",
            region="us-east-1",
            http_client=pool,
        )

    def new_bucket(self) -> str:
        """Make a bucket of a name that nobody has used, and return the name."""
        name = f"test-{secrets.token_hex(6)}"
        self.client().make_bucket(name)
        return name

    def new_user(self, *buckets: str) -> S3Server:
        """Make a user of MinIO who may do all in `buckets` and nothing else; return the service with those keys."""
        user = replace(self, access_key=f"user-{secrets.token_hex(6)}", secret_key=secrets.token_hex(16))
        own = [f"arn:aws:s3:::{bucket}{inside}" for bucket in buckets for inside in ("", "/*")]
        policy = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": ["s3:*"], "Resource": own}],
        }
        admin = self._admin()
        admin.user_add(user.access_key, user.secret_key)
        admin.policy_add(user.access_key, policy=policy)
        admin.policy_set(user.access_key, user=user.access_key)
        return user

    def remove_user(self, user: S3Server) -> None:
        """The keys of `user` are worth nothing from now on."""
        self._admin().user_remove(user.access_key)

    def _admin(self) -> MinioAdmin:
        return MinioAdmin(
            endpoint=self.endpoint.partition("://")[2],
            credentials=StaticProvider(self.access_key, self.secret_key),
            secure=self.endpoint.startswith("https"),
        )

    def answers(self) -> bool:
        """Whether it serves signed requests already."""
        try:
            self.client().list_buckets()
        except (MinioException, urllib3.exceptions.HTTPError):
            return False
        return True


@contextmanager
def minio(folder: Path, port: int | None = None, tls: bool = False) -> Iterator[S3Server]:
    """A MinIO of its own, with its data in `folder`; on the same port and folder it comes back as it was."""
    port = port or free_port()
    keys = _keys(folder)
    certificates = folder / "certs"
    certificates.mkdir(exist_ok=True)
    ca_file = _self_signed(certificates) if tls else ""
    server = S3Server(f"http{'s' * tls}://127.0.0.1:{port}", *keys, ca_file)
    command = [program("minio"), "server", "--quiet", "--address", f"127.0.0.1:{port}"]
    with running(
        [*command, "--certs-dir", str(certificates), str(folder / "data")],
        server.answers,
        folder / "minio.log",
        {
            "MINIO_ROOT_USER": keys[0],
            "MINIO_ROOT_PASSWORD": keys[1],
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
            "MINIO_DOMAIN": DOMAIN,
        },
    ):
        yield server


@contextmanager
def versitygw(folder: Path) -> Iterator[S3Server]:
    """A versitygw over a folder; metadata goes into a second folder, since not every file system has attributes."""
    port = free_port()
    server = S3Server(f"http://127.0.0.1:{port}", *_keys(folder))
    for name in ("data", "metadata"):
        (folder / name).mkdir()
    command = [program("versitygw"), "--port", f"127.0.0.1:{port}", "--access", server.access_key]
    with running(
        [*command, "--secret", server.secret_key, "posix", "--sidecar", str(folder / "metadata"), str(folder / "data")],
        server.answers,
        folder / "versitygw.log",
    ):
        yield server


@pytest.fixture(scope="session")
def minio_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One MinIO for the whole run; every test makes buckets of its own in it."""
    with minio(tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture(scope="session")
def versitygw_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One versitygw for the whole run; every test makes buckets of its own in it."""
    with versitygw(tmp_path_factory.mktemp("versitygw")) as server:
        yield server


def _keys(folder: Path) -> tuple[str, str]:
    """Random administrator's keys, kept beside the data so that a server started again has the same."""
    kept = folder / "keys"
    if not kept.exists():
        kept.write_text(f"{secrets.token_hex(8)} {secrets.token_hex(16)}", "utf-8")
    access_key, _, secret_key = kept.read_text("utf-8").partition(" ")
    return access_key, secret_key


def _self_signed(folder: Path) -> str:
    """A certificate for 127.0.0.1 under the names that MinIO looks for; it is its own authority."""
    certificate = folder / "public.crt"
    if not certificate.exists():
        subprocess.run(
            [
                *["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
                *["-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"],
                *["-keyout", str(folder / "private.key"), "-out", str(certificate)],
            ],
            check=True,
            capture_output=True,
        )
    return str(certificate)
