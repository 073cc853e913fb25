"""The settings of a cluster's S3 service: keys from a Secret, which kubectl reads with the rights of who calls it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping

from mlops.api.pod_environment import S3Settings
from mlops.cli import kubectl
from mlops.cli.errors import UserError
from mlops.store.settings import NAMES

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
    said = kubectl.answer(
        ["get", "secret", secret, "--namespace", namespace, "--output", "json"],
        does="reads the Secret",
        instead="give the keys by --s3 and your environment",
    )
    try:
        data = json.loads(said).get("data") or {}
        return {name: base64.b64decode(data[name], validate=True).decode() for name in NAMES if name in data}
    except (ValueError, AttributeError, binascii.Error) as error:
        raise UserError(f"Secret {secret} in namespace {namespace} holds no text that kubectl could show") from error
