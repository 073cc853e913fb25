"""What the calls of the Open Inference Protocol v2 answer over gRPC."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import metadata, resources
from typing import Any, Final

from google.protobuf.message import DecodeError

from mlops.workloads.serve.answering import Answering
from mlops.workloads.serve.app import Application
from mlops.workloads.serve.decompress import GZIP, decompressed
from mlops.workloads.serve.errors import RequestError, busy, unknown_model
from mlops.workloads.serve.exchange import Exchange
from mlops.workloads.serve.message_reader import MessageReader
from mlops.workloads.serve.proto_file import messages_of
from mlops.workloads.serve.routes import HttpAnswer, Route
from mlops.workloads.serve.served import Served
from mlops.workloads.serve.two_versions import SharedApplication

SERVICE: Final = "inference.GRPCInferenceService"
PROTO: Final = "open_inference.proto"
# Raw tensors are no extension here, but part of the protocol.
EXTENSIONS: Final = ("classification",)
# How a message begins that its sender has compressed. None of the protocol does: these would be a group, and field 15.
_GZIP, _ZLIB = b"\x1f\x8b", b"\x78"


def proto_text() -> str:
    """Return the protocol's definition."""
    return resources.files("mlops.workloads.serve").joinpath(PROTO).read_text("utf-8")


class RpcMethods:
    """Answers calls for one application."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._messages = messages_of(proto_text())
        self._readers: tuple[Served, Callable[[bytes | bytearray], Any]] | None = None
        self._version_readers: dict[int, MessageReader] = {}
        self._shared = app if isinstance(app, SharedApplication) else None
        self._version = metadata.version("mlops-operator")

    def admits(self, call: Exchange) -> bool:
        """Whether a call whose message is still to come may go on; if not, it is answered."""
        return self._app.admits(call)

    def routes(self) -> dict[str, Route]:
        """Return what answers each call, by its path."""
        app = self._app
        answers: dict[str, tuple[str, Callable[[Any], Any]]] = {
            "ServerLive": ("health", lambda _: {"live": True}),
            "ServerReady": ("health", lambda _: {"ready": app.served is not None}),
            "ModelReady": ("health", self._model_ready),
            "ServerMetadata": ("server", self._server_metadata),
            "ModelMetadata": ("model", self._model_metadata),
        }
        routes = {
            f"/{SERVICE}/{name}": Route(route, post=self._with_message(name, answer))
            for name, (route, answer) in answers.items()
        }
        return routes | {
            f"/{SERVICE}/ModelInfer": Route("infer", post=self._infer_shared if self._shared else self._infer)
        }

    def _with_message(self, name: str, answer: Callable[[Any], Mapping[str, Any]]) -> Callable[[Exchange], None]:
        request, response = (self._messages[f"inference.{name}{end}"] for end in ("Request", "Response"))

        def post(exchange: Exchange) -> None:
            self._decompress(exchange)
            try:
                message = request.FromString(bytes(exchange.body))
            except DecodeError:
                raise RequestError(400, f"the message is no inference.{name}Request") from None
            self._app.answer(exchange, HttpAnswer(200, response(**answer(message)).SerializeToString()))

        return post

    def _model_ready(self, request: Any) -> Mapping[str, Any]:
        self._check_model(request)
        if self._shared is not None and self._is_candidates(request.version):
            return {"ready": self._shared.is_candidate_ready}
        return {"ready": self._app.served is not None}

    def _server_metadata(self, request: Any) -> Mapping[str, Any]:
        return {"name": "mlops", "version": self._version, "extensions": EXTENSIONS}

    def _model_metadata(self, request: Any) -> Mapping[str, Any]:
        self._check_model(request)
        interface = self._app.model().interface
        if self._shared is not None and self._is_candidates(request.version):
            interface = self._shared.candidate_description().interface
        described = interface.metadata()
        # A message has no place for the parameters of a tensor.
        return (
            described
            | {"versions": self._app.versions}
            | {
                side: [{name: tensor[name] for name in ("name", "datatype", "shape")} for tensor in described[side]]
                for side in ("inputs", "outputs")
            }
        )

    def _check_model(self, request: Any) -> None:
        if error := unknown_model(self._app.task, request.name, request.version or None):
            raise error

    def _is_candidates(self, version: str) -> bool:
        candidate = self._app.task.candidate
        return candidate is not None and version == str(candidate.version)

    def _infer_shared(self, exchange: Exchange) -> None:
        """Answer by one of two versions: by the one that the message names, if it names one."""
        shared = self._shared
        assert shared is not None
        served = shared.model()
        self._decompress(exchange)
        reader = self._reader_of(served.answering)
        message = reader.message(exchange.body)
        takes_rows, infer = served.takes_rows, shared.infer_stable if message.model_version else shared.infer
        if self._is_candidates(message.model_version):
            model = shared.answering_model()
            reader, takes_rows, infer = self._reader_of(model.answering), model.lone is not None, shared.infer_candidate
        infer(exchange, lambda *_: reader.row_of(message) if takes_rows else reader.request_of(message))

    def _reader_of(self, answering: Answering) -> MessageReader:
        """Return what reads messages for one of the versions."""
        version = answering.interface.version
        reader = self._version_readers.get(version)
        if reader is None:
            rows = self._app.limits.rows
            reader = MessageReader(self._app.task, answering.interface, answering.parser, rows, self._messages)
            self._version_readers[version] = reader
        return reader

    def _infer(self, exchange: Exchange) -> None:
        served = self._app.model()
        if self._readers is None or self._readers[0] is not served:
            answering, limits = served.answering, self._app.limits
            reader = MessageReader(self._app.task, answering.interface, answering.parser, limits.rows, self._messages)
            self._readers = served, reader.read_row if served.takes_rows else reader.read
        read = self._readers[1]

        def opened(body: bytes | bytearray, header_length: int | None) -> Any:
            self._decompress(exchange)
            return read(exchange.body)

        self._app.infer(exchange, opened)

    def _decompress(self, exchange: Exchange) -> None:
        """Put the message itself in the place of one that came compressed. Raises RequestError."""
        body = exchange.body
        if not body.startswith((_GZIP, _ZLIB)):
            return
        coding = GZIP if body.startswith(_GZIP) else b"deflate"
        found = decompressed(coding, body, self._app.limits.body_bytes, exchange.hold.take)
        if found is None:
            raise busy()
        exchange.hold.give(len(body))
        exchange.body = found
