"""Mistakes that the API server sees: each is refused at its field, whatever way the manifest comes."""

from __future__ import annotations

import re

import pytest
import yaml

from hack.generate import ROOT
from tests.bad_input.api_requests import attempt, manifest_of, server_side
from tests.bad_input.catalogue import Case, parameters
from tests.servers.apiserver import ApiServer

pytestmark = pytest.mark.apiserver

_HEAD = re.compile(r'^\w+\.mlops\.dev "[^"]*" is invalid: ')
# What the API server adds when a value is so wrong that the rules cannot be asked.
_REMARK = (
    "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)


@pytest.fixture(scope="module")
def server(apiserver: ApiServer) -> ApiServer:
    """The API server with the committed definitions."""
    apiserver.apply_crds([yaml.safe_load(file.read_text()) for file in sorted((ROOT / "crds").glob("*.yaml"))])
    return apiserver


@pytest.fixture(scope="module")
def namespace(server: ApiServer) -> str:
    """One namespace for all: nothing of what is refused is left in it."""
    return server.new_namespace()


def said(message: str) -> str:
    """The message without the API server's own head and remark."""
    causes = _HEAD.sub("", message, count=1)
    if causes.startswith("[") and causes.endswith("]"):
        return causes[1:-1].removesuffix(f", {_REMARK}")
    return causes


@pytest.mark.parametrize("case", parameters("api_server"))
def test_it_is_refused_with_the_message(server: ApiServer, namespace: str, case: Case) -> None:
    """By `kubectl apply`, by `kubectl apply --server-side`, and by clients that do not ask for unknown fields."""
    if "then" in case:
        namespace = server.new_namespace()
    status, answer = attempt(server, case, namespace)
    assert 400 <= status < 500, answer
    assert said(answer["message"]) == case["message"]
    status, answer = attempt(server, case, namespace, validation="Ignore")
    match case.get("plain"):
        case None:
            assert said(answer["message"]) == case["message"]
        case "refused":
            assert 400 <= status < 500, answer
        case "dropped":
            assert status == 201, answer
            (path,) = case["change"]
            assert not _holds(answer, path), "a field that nobody knows is not stored"
    # What another manager has set is not taken away by an apply without it.
    takes_away = None in case.get("then", {}).values()
    if "name" in manifest_of(case)["metadata"] and not takes_away:
        status, answer = server_side(server, case, namespace)
        # A manifest that does not fit the schema's types is a 500 there, with the field in its message.
        assert status >= 400, answer
        last = [part for part in [*case["change"], *case.get("then", {})][-1].split(".") if not part.isdigit()][-1]
        assert last in answer["message"] or said(answer["message"]) == case["message"]


def _holds(answer: object, path: str) -> bool:
    for part in path.split("."):
        if isinstance(answer, list):
            answer = answer[int(part)]
        elif isinstance(answer, dict) and part in answer:
            answer = answer[part]
        else:
            return False
    return True
