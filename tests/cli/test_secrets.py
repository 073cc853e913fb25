"""Where the Secret of a source comes from without a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops.cli import manifests
from mlops.cli.errors import UserError
from mlops.cli.secrets import from_environment, variable_of

DATASET = """
apiVersion: mlops.dev/v1alpha1
kind: Dataset
metadata: {name: sales}
spec:
  source:
    sql: {engine: postgresql, secretRef: {name: ware-house.1}, query: SELECT price FROM sales}
  fields: [{name: price, type: float64}]
---
"""
SECRET = "{apiVersion: v1, kind: Secret, metadata: {name: ware-house.1}, %s}\n"
NAME = ("default", "ware-house.1")


def read(tmp_path: Path, text: str) -> manifests.Manifests:
    (tmp_path / "a.yaml").write_text(text)
    return manifests.read([str(tmp_path)])


def test_a_secret_beside_the_dataset_that_names_it_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, DATASET + SECRET % "data: {user: cmVhZGVy}, stringData: {password: abc}")
    assert found.secrets == {NAME: {"user": "reader", "password": "abc"}}
    assert found.left_out == ()
    assert "abc" not in repr(found)


def test_a_secret_that_no_dataset_names_is_left_out(tmp_path: Path) -> None:
    found = read(tmp_path, DATASET + "{apiVersion: v1, kind: Secret, metadata: {name: other}, data: {a: 1}}\n")
    assert (found.secrets, found.left_out) == ({}, ("Secret other",))
    assert found.named_secrets == {NAME}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        pytest.param("data: {password: 'no base64'}", "data.password: is no text in base64", id="base64"),
        pytest.param("stringData: {port: 5432}", "stringData.port: is no text: put it in quotes", id="number"),
        pytest.param("stringData: [a]", "stringData: is no object", id="list"),
    ],
)
def test_a_secret_that_no_api_server_would_take_is_told(tmp_path: Path, keys: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, DATASET + SECRET % keys)
    assert f"a.yaml:10: {said}" in str(caught.value)
    assert "no base64'" not in str(caught.value)


def test_a_secret_that_stands_twice_is_told(tmp_path: Path) -> None:
    secret = SECRET % "stringData: {user: a}"
    with pytest.raises(UserError, match="stands twice"):
        read(tmp_path, f"{DATASET}{secret}---\n{secret}")


def test_the_environment_holds_one_too() -> None:
    assert variable_of("ware-house.1", "password") == "MLOPS_SECRET_WARE_HOUSE_1_PASSWORD"
    environ = {
        "MLOPS_SECRET_WARE_HOUSE_1_PASSWORD": "abc",
        "MLOPS_SECRET_WARE_HOUSE_1_URI": "",
        "MLOPS_SECRET_OTHER_PASSWORD": "def",
        "MLOPS_SECRET_WARE_HOUSE_1_AUTHORIZATION": "Bearer x",
    }
    assert from_environment(environ, [NAME]) == {NAME: {"password": "abc", "AUTHORIZATION": "Bearer x"}}
