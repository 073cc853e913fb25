"""The servers that other tests rely on start, answer and take what they should."""

from __future__ import annotations

import pytest

from tests.servers.apiserver import ApiServer
from tests.servers.s3 import SERVERS, S3Server

WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.test.mlops.dev"},
    "spec": {
        "group": "test.mlops.dev",
        "scope": "Namespaced",
        "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "properties": {"size": {"type": "integer", "default": 3}}},
                            "status": {"type": "object", "properties": {"ready": {"type": "boolean"}}},
                        },
                    }
                },
            }
        ],
    },
}


@pytest.mark.s3
@pytest.mark.parametrize("server", SERVERS)
def test_an_s3_server_has_a_bucket_that_was_made(server: str, request: pytest.FixtureRequest) -> None:
    s3: S3Server = request.getfixturevalue(server)
    assert s3.client().bucket_exists(s3.new_bucket())


@pytest.mark.apiserver
def test_the_api_server_validates_defaults_and_keeps_status_apart(apiserver: ApiServer, namespace: str) -> None:
    """The fixture is a real API server: schemas, defaults, strict validation, apply, status, deletion."""
    apiserver.apply_crds([WIDGETS])
    name = {"apiVersion": "test.mlops.dev/v1", "kind": "Widget", "metadata": {"name": "a", "namespace": namespace}}

    status, answer = apiserver.apply(name | {"spec": {}})
    assert (status, answer["spec"]) == (201, {"size": 3})
    status, answer = apiserver.apply(name | {"spec": {"sise": 4}})
    assert status in (400, 422, 500)
    assert "sise" in answer["message"]
    status, answer = apiserver.create({**name, "metadata": {**name["metadata"], "name": "b"}, "spec": {"size": "big"}})
    assert (status, answer["reason"]) == (422, "Invalid")

    assert apiserver.apply(name | {"status": {"ready": True}}, subresource="status")[0] == 200
    assert apiserver.patch(name, {"spec": {"size": 5}})[0] == 200
    status, answer = apiserver.get(name)
    assert (answer["spec"], answer["status"]) == ({"size": 5}, {"ready": True})
    assert [
        item["metadata"]["name"] for item in apiserver.list("test.mlops.dev/v1", "Widget", namespace)[1]["items"]
    ] == ["a"]

    assert apiserver.delete(name)[0] == 200
    assert apiserver.get(name)[0] == 404


@pytest.mark.apiserver
def test_a_wrong_token_is_refused(apiserver: ApiServer) -> None:
    assert apiserver.request("GET", "/api/v1/namespaces", token="wrong")[0] == 401
