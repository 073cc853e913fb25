"""Users and policies of the demo's MinIO: one user per namespace and role, each with just what its pods do.

    python users.py users.json made

The same policies, for any S3 service, stand in docs/store.md.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import urllib3
from minio.credentials import StaticProvider
from minio.error import MinioException
from minio.minioadmin import MinioAdmin

Policy = dict[str, Any]

ADDRESS = os.environ.get("MINIO_DEMO_ADDRESS", "127.0.0.1:9000")
READ, WRITE = ["s3:GetObject"], ["s3:PutObject", "s3:AbortMultipartUpload"]


def policies(bucket: str, prefix: str, namespace: str, data: str) -> dict[str, Policy]:
    """Return the policy of each role in `namespace`, for a store at s3://`bucket`/`prefix` and sources in `data`."""
    root = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    artifacts = [_objects(bucket, f"{root}{kind}/*") for kind in ("blobs", "manifests")]
    captured = f"{root}objects/captures/{namespace}/*"
    captures = [_objects(bucket, captured)]
    # Which rows drift checks have asked labels for; never what was captured.
    asked = _objects(bucket, f"{root}objects/captures/{namespace}/*/*/asked/*")
    sources = [_objects(data, "*")]
    removals, listed = _objects(bucket, f"{root}removals/*"), [f"{root}manifests/*", f"{root}removals/*"]
    return {
        "writer": _policy(
            _allow([*READ, *WRITE], artifacts),
            _allow(WRITE, [asked]),
            _allow(READ, [*captures, *sources]),
            _allow(["s3:ListBucket"], [_objects(bucket)], {"StringLike": {"s3:prefix": [captured]}}),
            _allow(["s3:ListBucket"], [_objects(data)]),
        ),
        "reader": _policy(_allow(READ, artifacts)),
        "server": _policy(_allow(READ, artifacts), _allow(WRITE, captures)),
        "remover": _policy(
            _allow([*READ, "s3:DeleteObject"], artifacts),
            _allow([*READ, *WRITE, "s3:DeleteObject"], [removals]),
            _allow(["s3:ListBucket"], [_objects(bucket)], {"StringLike": {"s3:prefix": listed}}),
        ),
        "delivery": _policy(
            _allow([*READ, *WRITE, "s3:DeleteObject"], sources), _allow(["s3:ListBucket"], [_objects(data)])
        ),
    }


def _objects(bucket: str, key: str = "") -> str:
    return f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"


def _policy(*statements: Policy) -> Policy:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(actions: list[str], resources: list[str], condition: Policy | None = None) -> Policy:
    return {"Effect": "Allow", "Action": actions, "Resource": resources} | (
        {"Condition": condition} if condition else {}
    )


def make(wanted: dict[str, Any], root_user: str, root_password: str) -> None:
    """Make the users of `wanted`, whose policies are those of its bucket, prefix and data bucket."""
    pool = urllib3.PoolManager(timeout=5, retries=False)
    keys = StaticProvider(root_user, root_password)
    admin = MinioAdmin(endpoint=ADDRESS, credentials=keys, secure=False, http_client=pool)
    for user in wanted["users"]:
        prefix = wanted["prefix"].replace("{namespace}", user["namespace"])
        policy = policies(wanted["bucket"], prefix, user["namespace"], wanted["data"])[user["role"]]
        name = f"{user['namespace']}-{user['role']}"
        admin.user_add(user["accessKey"], user["secretKey"])
        admin.policy_add(name, policy=policy)
        admin.policy_set(name, user=user["accessKey"])


def main() -> None:
    """Make the users, now and whenever the file has others: `made` appears when they are there."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    root_user, root_password = os.environ["MINIO_ROOT_USER"], os.environ["MINIO_ROOT_PASSWORD"]
    source, made, there = Path(sys.argv[1]), Path(sys.argv[2]), ""
    said = ""
    while True:
        if (text := source.read_text()) != there:
            try:
                make(json.loads(text), root_user, root_password)
            except (MinioException, urllib3.exceptions.HTTPError) as error:
                said = say(f"MinIO does not take the users yet: {error}", said)
                time.sleep(1)
                continue
            there = text
            made.touch()
            said = say(f"{len(json.loads(text)['users'])} users are made", said)
        time.sleep(5)


def say(text: str, said: str) -> str:
    """Tell whoever reads the log, once."""
    if text != said:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    return text


if __name__ == "__main__":
    main()
