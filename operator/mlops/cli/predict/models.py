"""A model that can be asked: of a store, in a process like its server's, or behind the address of a server."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

import orjson
import urllib3

from mlops.api import tasks
from mlops.api.dataset import FieldType
from mlops.cli.errors import UserError
from mlops.cli.predict.child import OK, read_message, write_message
from mlops.cli.state import server_headers
from mlops.store.artifacts import Store
from mlops.workloads.floor.isolation import limits
from mlops.workloads.floor.model.golden import GOLDEN_FILE
from mlops.workloads.floor.model.opening import fetch
from mlops.workloads.floor.model.signature import Signature, class_name, read_signature
from mlops.workloads.floor.pod import BadInput

_TYPES: Mapping[str, FieldType] = {"FP64": "float64", "INT64": "int64", "BOOL": "boolean", "BYTES": "string"}
_MODULE = "mlops.cli.predict.child"


@dataclass(frozen=True)
class Tensor:
    """One input: its name, its datatype on the wire, and the type of its field as far as is known."""

    name: str
    datatype: str
    type: FieldType


class NotAnswered(Exception):
    """The model does not take a request: a status of HTTP, and why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class AskedModel(Protocol):
    """What is asked. A context: at its end nothing of it is left."""

    inputs: tuple[Tensor, ...]
    # Names of the classes in the order of the probabilities, if they are known.
    classes: tuple[str, ...]

    def ask(self, body: bytes) -> dict[str, Any]:
        """Return the answer to the body of a request. Raises NotAnswered and UserError."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class StoredModel:
    """A model of a local store. The process that opens it sees what a server's process sees, so the bits are its."""

    def __init__(self, store: Store, task: tasks.ServeTask) -> None:
        self._store, self._task = store, task

    def __enter__(self) -> Self:
        self._place = tempfile.TemporaryDirectory(prefix="mlops-predict-")
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._open(Path(self._place.name))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if (process := self._process) is not None:
            process.kill()
            process.communicate()
        self._place.cleanup()

    def _open(self, place: Path) -> None:
        folder = place / "model"
        self._log = place / "log"
        try:
            fetch(self._store, self._task.artifact, folder)
            self.signature: Signature = read_signature(folder)
        except BadInput as error:
            raise UserError(f"{self._task.object_name}: {error.message}") from error
        self.recorded: dict[str, Any] = orjson.loads((folder / GOLDEN_FILE).read_bytes())
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", _MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**limits.environment(os.environ), **tasks.NUMERIC_ENVIRONMENT},
            )
        self._send(orjson.dumps({"folder": str(folder), "task": self._task.dump()}))
        try:
            described = orjson.loads(self._next("opening it"))
        except NotAnswered as error:
            raise UserError(f"{self._task.object_name}: {error.message}") from error
        types = {one.name: one.type for one in self.signature.inputs}
        self.inputs = tuple(Tensor(one["name"], one["datatype"], types[one["name"]]) for one in described["inputs"])
        self.classes = tuple(class_name(one) for one in self.signature.classes or ())

    def ask(self, body: bytes) -> dict[str, Any]:
        """Return the answer to the body of a request. Raises NotAnswered, and UserError if the process has ended."""
        self._send(body)
        found: dict[str, Any] = orjson.loads(self._next("answering"))
        return found

    def _send(self, body: bytes) -> None:
        process = self._process
        if process is None or process.stdin is None:
            raise RuntimeError("the model is not open")
        # Whether it is still there, and how it ended, `_next` finds out.
        with contextlib.suppress(BrokenPipeError):
            write_message(process.stdin, OK, body)

    def _next(self, doing: str) -> bytes:
        process = self._process
        if process is None or process.stdout is None:
            raise RuntimeError("the model is not open")
        message = read_message(process.stdout)
        if message is None:
            process.wait()
            lines = self._log.read_text("utf-8", "replace").strip().splitlines()
            said = f": {lines[-1]}" if lines else ""
            raise UserError(f"{self._task.object_name}: the process ended ({process.returncode}) while {doing}{said}")
        status, body = message
        if status != OK:
            raise NotAnswered(status, body.decode())
        return body


class ServedModel:
    """A model behind the address of a server that speaks the Open Inference Protocol v2."""

    def __init__(self, url: str, model: str, version: int | None) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
            raise UserError(f"--url {url!r}: write it such as http://127.0.0.1:8080")
        self._path = f"{url.rstrip('/')}/v2/models/{model}" + (f"/versions/{version}" if version else "")
        self._model = model
        self._headers = server_headers()
        # What a server may have read already is not sent again: it would be recorded, and counted, as more rows.
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=5, read=60),
            retries=urllib3.Retry(
                total=3, read=0, other=0, redirect=False, backoff_factor=0.2, status_forcelist=(502, 503),
                allowed_methods=None, raise_on_status=False,
            ),
        )  # fmt: skip

    def __enter__(self) -> Self:
        try:
            described = self._call("GET", "")
        except NotAnswered as error:
            raise UserError(f"{self._path}: {error.status}: {error.message}") from error
        inputs, outputs = described.get("inputs"), described.get("outputs")
        if not isinstance(inputs, list) or not isinstance(outputs, list):
            raise UserError(f"{self._path}: this is no model server: it does not say what the model takes")
        try:
            self.inputs = tuple(_tensor(one) for one in inputs)
            named = [(one.get("parameters") or {}).get("classes") for one in outputs if one["name"] == "probabilities"]
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{self._path}: it does not say what the model takes in the form of the protocol"
            ) from error
        self.classes = tuple(class_name(one) for one in (named[0] if named else None) or ())
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.clear()

    def ask(self, body: bytes) -> dict[str, Any]:
        """Return the answer to the body of a request. Raises NotAnswered, and UserError without an answer."""
        return self._call("POST", "/infer", body)

    def _call(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        url = self._path + path
        try:
            answer = self._pool.request(method, url, body=body, headers=self._headers)
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise UserError(f"{url}: no answer: {reason}: is the server or the port-forward up?") from error
        try:
            found = orjson.loads(answer.data)
        except orjson.JSONDecodeError as error:
            raise UserError(f"{url}: {answer.status}: this is no model server: its answer is no JSON") from error
        if not isinstance(found, dict):
            raise UserError(f"{url}: {answer.status}: this is no model server: its answer is no JSON object")
        if answer.status != OK:
            raise NotAnswered(answer.status, str(found.get("error", answer.status)))
        return found


def _tensor(described: dict[str, Any]) -> Tensor:
    datatype = str(described["datatype"])
    is_time = (described.get("parameters") or {}).get("content_type") == "datetime"
    known = _TYPES.get(datatype, "int64" if "INT" in datatype else "float64")
    return Tensor(str(described["name"]), datatype, "timestamp" if is_time else known)
