from __future__ import annotations

import pytest
import yaml

from hack.generate import ROOT
from tests.servers.apiserver import ApiServer


def definitions() -> list[dict[str, object]]:
    """The CustomResourceDefinitions, as a user would apply them."""
    return [yaml.safe_load(file.read_text("utf-8")) for file in sorted((ROOT / "crds").glob("*.yaml"))]


@pytest.fixture(scope="module")
def server(apiserver: ApiServer) -> ApiServer:
    """The API server that serves our kinds."""
    apiserver.apply_crds(definitions())
    return apiserver
