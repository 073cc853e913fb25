"""The settings of a cluster's S3 service: keys from a Secret, which kubectl reads with the rights of who calls it."""

from __future__ import annotations

import base64
import binascii
import json
import subprocess
from collections.abc import Mapping

from mlops.api.pod_environment import S3Settings
from mlops.cli.errors import UserError
from mlops.store.settings import NAMES

_SECONDS = 30
DEFAULT_SECRET = "mlops-store-delivery"


def settings_of(namespace: str, secret: str, endpoint: str | None, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an S3 client: all that the Secret holds, and the endpoint as it is reached from here.

    Keys of the environment are not used. Raises UserError if the Secret cannot be read.
    """
    found = _read(namespace, secret)
    name = S3Settings.name_of("endpoint")
    reached = endpoint or found.get(name) or environ.get(name, "")
    if not reached:
        raise UserError(
            f"Secret {secret} in namespace {namespace} does not say where the service is: say --endpoint, such as "
            "http://127.0.0.1:9000 behind `kubectl port-forward`"
        )
    from_here = {each: environ[each] for each in (S3Settings.name_of("ca_file"),) if environ.get(each)}
    return {**from_here, **found, name: reached}


def _read(namespace: str, secret: str) -> dict[str, str]:
    # The values come over a pipe: nothing of them stands in a command line, a file or a message.
    command = ["kubectl", "get", "secret", secret, "--namespace", namespace, "--output", "json"]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
    except FileNotFoundError as error:
        raise UserError(
            "kubectl is not on your PATH, and it is what reads the Secret: give the keys by --s3 and your environment"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UserError(f"kubectl did not read Secret {secret} in {_SECONDS} s: is the cluster there?") from error
    if ended.returncode:
        said = ended.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UserError(f"kubectl: {said[-1] if said else ended.returncode}")
    try:
        data = json.loads(ended.stdout).get("data") or {}
        return {name: base64.b64decode(data[name], validate=True).decode() for name in NAMES if name in data}
    except (ValueError, AttributeError, binascii.Error) as error:
        raise UserError(f"Secret {secret} in namespace {namespace} holds no text that kubectl could show") from error
