"""The end of `mlops run`: lines that ask what it made, and really work."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson

from mlops.cli.predict.answers import body_of
from mlops.cli.predict.example import example_of
from mlops.cli.predict.models import Tensor
from mlops.cli.state import State
from mlops.cli.summary import of_kind
from mlops.planning.plan import Manifest
from mlops.planning.serving.manifests import server_name
from mlops.store.address import open_store
from mlops.store.artifacts import Store
from mlops.store.errors import StoreError
from mlops.workloads.floor.model.golden import GOLDEN_FILE
from mlops.workloads.floor.model.signature import SIGNATURE_FILE, parse_signature
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.serve.tensors import STATED

_MOST = 5


def predict_lines(objects: Iterable[Manifest], state: State) -> Iterator[str]:
    """Yield a `mlops predict` for each model that is live at the end of its way, the first few of them."""
    models = {}
    for version in of_kind(objects, "ModelVersion"):
        stages = [each["name"] for each in version["spec"].get("promotion", {}).get("stages", ())]
        if set(stages[-1:]) & set(version.get("status", {}).get("stages", ())):
            models[version["metadata"]["namespace"], version["spec"]["modelName"]] = version["status"]["artifact"]
    store = open_store(state.store.resolve().as_uri(), os.environ)
    for (namespace, model), artifact in list(models.items())[:_MOST]:
        words = ["mlops", "predict", model]
        # Without a row that may be shown, the command says what the model takes.
        words += ["--example"] if _example(store, artifact) is not None else []
        words += ["-n", namespace] if namespace != "default" else []
        yield shlex.join([*words, "--state", str(state.folder)])


def curl_line(service: Manifest, url: str, objects: Iterable[Manifest], state: State) -> str | None:
    """Return a curl command that asks a served model about a row that was recorded with it; the row is put into a file
    of the state folder. None if there is no such row, or nothing is live behind the Service."""
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    for version in of_kind(objects, "ModelVersion"):
        model, metadata = version["spec"]["modelName"], version["metadata"]
        live = [server_name(model, stage) for stage in version.get("status", {}).get("stages", ())]
        if metadata["namespace"] != namespace or name not in live:
            continue
        body = _example(open_store(state.store.resolve().as_uri(), os.environ), version["status"]["artifact"])
        if body is None:
            return None
        file = _written(state.requests / f"{namespace}-{name}.json", body)
        stages = version["spec"].get("promotion", {}).get("stages", ())
        asks = any(each.get("auth") and server_name(model, each["name"]) == name for each in stages)
        key = ' -H "Authorization: Bearer $MLOPS_SERVER_TOKEN"' if asks else ""
        kind = "-H 'Content-Type: application/json'"
        return f"curl -sS{key} {kind} -d @{shlex.quote(str(file))} {url}/v2/models/{model}/infer"
    return None


def _example(store: Store, artifact: str) -> bytes | None:
    """Return the body of a request with a recorded row, or None."""
    try:
        signature = parse_signature(store.read_file(artifact, SIGNATURE_FILE))
        row = example_of(signature, orjson.loads(store.read_file(artifact, GOLDEN_FILE)))
    except (StoreError, BadInput):
        return None
    if row is None:
        return None
    inputs = [Tensor(one.name, STATED[one.type], one.type) for one in signature.inputs]
    return body_of(inputs, {name: [value] for name, value in row.items()}, id="example")


def _written(file: Path, body: bytes) -> Path:
    file.parent.mkdir(exist_ok=True)
    beside = file.with_name(f".{file.name}.part")
    beside.write_bytes(body + b"\n")
    beside.replace(file)
    return file
