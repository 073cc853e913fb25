"""What GET answers about the server and its model: the protocol's metadata, its extensions, and the pages."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Any, Final

from mlops.api.serving_task import ServeTask
from mlops.workloads.serve.exchange import Fields
from mlops.workloads.serve.metrics import Metrics
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
    """Answers for one model; `model` raises RequestError until it is there."""

    def __init__(self, task: ServeTask, metrics: Metrics, model: Callable[[], Served]) -> None:
        self._task, self._metrics, self._model = task, metrics, model
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
        for path in (model, f"{model}/versions/{self._task.version}"):
            routes[path] = Route("model", get=lambda: json_answer(200, self._model().interface.metadata()))
            routes[f"{path}/config"] = Route("model", get=self._configuration)
            routes[f"{path}/stats"] = Route("model", get=self._statistics)
        return routes

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
        """Return what is counted. What is not measured apart (queue, reading, writing) is not said."""
        served = self._model()
        return json_answer(
            200,
            {
                "model_stats": [
                    {
                        "name": self._task.model_name,
                        "version": str(self._task.version),
                        "inference_count": self._metrics.rows,
                        "execution_count": served.runs,
                        "inference_stats": self._metrics.inference(),
                    }
                ]
            },
        )


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
