"""What GET answers about the server and its model: the protocol's metadata, its extensions, and the pages."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Any, Final

from mlops.api.serving_task import ServeTask
from mlops.workloads.serve.exchange import Fields
from mlops.workloads.serve.model_description import ModelDescription
from mlops.workloads.serve.openapi import openapi
from mlops.workloads.serve.openapi_security import asked_of_clients, with_security
from mlops.workloads.serve.page import CONTENT_TYPE, HEADERS, address_of, page
from mlops.workloads.serve.routes import HttpAnswer, Route, json_answer
from mlops.workloads.serve.served import Served

EXTENSIONS: Final = ("binary_tensor_data", "model_configuration", "statistics", "classification")
# As the configuration of a model names them.
_TYPES: Final = {"BYTES": "TYPE_STRING"}


class Documents:
    """Answers for one model; `model` raises RequestError until it is there. `versions` are those that answer, and
    `statistics` what each of them has answered, the model's own first."""

    def __init__(
        self,
        task: ServeTask,
        model: Callable[[], Served],
        versions: Callable[[], list[str]],
        statistics: Callable[[], list[dict[str, Any]]],
    ) -> None:
        self._task, self._model, self._versions, self._all_statistics = task, model, versions, statistics
        # The document is some hundred kilobytes for the widest models, so it is written once.
        self._written: tuple[ModelDescription, HttpAnswer] | None = None
        self._version = metadata.version("mlops-operator")

    def routes(self) -> dict[str, Route]:
        """Return the addresses and what answers them."""
        model = f"/v2/models/{self._task.model_name}"
        routes = {
            "/": Route("page", page=self._page),
            "/openapi.json": Route("page", get=self._document),
            "/v2": Route("server", get=self._server),
            "/v2/models": Route("model", get=lambda: json_answer(200, {"models": [self._task.model_name]})),
            "/v2/models/stats": Route("model", get=self._statistics),
        }
        version = f"{model}/versions/{self._task.version}"
        for path in (model, version):
            routes[path] = Route("model", get=self._metadata)
            routes[f"{path}/config"] = Route("model", get=self._configuration)
            routes[f"{path}/stats"] = Route("model", get=self._statistics)
        routes[f"{version}/stats"] = Route("model", get=self._own_statistics)
        return routes

    def _metadata(self) -> HttpAnswer:
        return json_answer(200, self._model().interface.metadata() | {"versions": self._versions()})

    def _server(self) -> HttpAnswer:
        return json_answer(200, {"name": "mlops", "version": self._version, "extensions": EXTENSIONS})

    def _document(self) -> HttpAnswer:
        described = self._model().description
        if self._written is None or self._written[0] is not described:
            self._written = described, json_answer(200, with_security(openapi(described), self._task.auth))
        return self._written[1]

    def _page(self, headers: Fields) -> HttpAnswer:
        address = address_of(headers, over_tls=self._task.tls is not None)
        asked = asked_of_clients(self._task.auth)
        return HttpAnswer(200, page(self._model().description, address, asked), CONTENT_TYPE, HEADERS)

    def _configuration(self) -> HttpAnswer:
        return json_answer(200, configuration(self._model().description))

    def _statistics(self) -> HttpAnswer:
        return json_answer(200, {"model_stats": self._all_statistics()})

    def _own_statistics(self) -> HttpAnswer:
        return json_answer(200, {"model_stats": self._all_statistics()[:1]})


def model_statistics(task: ServeTask, version: int, rows: int, runs: int, inference: dict[str, Any]) -> dict[str, Any]:
    """Return what is counted of a version. What is not measured apart (queue, reading, writing) is not said."""
    return {
        "name": task.model_name,
        "version": str(version),
        "inference_count": rows,
        "execution_count": runs,
        "inference_stats": inference,
    }


def configuration(described: ModelDescription) -> dict[str, Any]:
    """Return the model's configuration, in which dimensions are those of one row."""
    interface = described.interface
    return {
        "name": interface.model_name,
        "platform": interface.platform,
        "backend": "mlops",
        "version_policy": {"specific": {"versions": [interface.version]}},
        "max_batch_size": described.max_rows,
        "input": [
            {
                "name": tensor["name"],
                "data_type": _type(tensor["datatype"]),
                "dims": [1],
                "optional": tensor["name"] in described.optional,
            }
            for tensor in interface.metadata()["inputs"]
        ],
        "output": [
            {"name": name, "data_type": _type(datatype), "dims": [width]} for name, datatype, width in interface.outputs
        ],
    }


def _type(datatype: str) -> str:
    return _TYPES.get(datatype, f"TYPE_{datatype}")
