"""Argo CD's health scripts mean what kstatus means: run as Argo CD runs them (Lua 5.1, no libraries)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from lupa import lua51

from mlops.api.kinds import KINDS
from tests.gitops.overlays import FOLDER
from tests.kstatus.states import State, all_states, all_verdicts

pytestmark = [pytest.mark.thorough, pytest.mark.slow]
SCRIPTS = FOLDER / "argocd" / "resource_customizations"
ARGO = {"Current": "Healthy", "InProgress": "Progressing", "Failed": "Degraded"}


def script(kind: str) -> str:
    return (SCRIPTS / "mlops.dev" / kind / "health.lua").read_text()


def health(kind: str) -> Callable[[dict[str, Any]], dict[str, str]]:
    """Return the script as a function; Argo CD gives it the object as the global `obj` and takes back a table."""
    lua = lua51.LuaRuntime(register_eval=False, register_builtins=False)
    chunk = lua.compile(script(kind))
    lua.execute("os, io, require, package, debug, load, loadfile, dofile = nil")

    def judge(manifest: dict[str, Any]) -> dict[str, str]:
        lua.globals().obj = lua.table_from(manifest, recursive=True)
        return dict(chunk())

    return judge


def wanted(state: State, verdict: str) -> str:
    ready = state.condition("Ready")
    if state.is_seen and state.is_suspended and ready and ready["reason"] == "Suspended":
        return "Suspended"
    return ARGO[verdict]


@pytest.mark.parametrize("kind", list(KINDS))
def test_argo_comes_to_the_verdict_of_kstatus(kind: str) -> None:
    """In every state that the planners come through. What is being deleted Argo CD judges itself."""
    judge = health(kind)
    seen = set()
    for state, verdict in zip(all_states(), all_verdicts(), strict=True):
        if state.kind == kind and verdict != "Terminating":
            got = judge(state.manifest)
            assert got["status"] == wanted(state, verdict), state
            assert isinstance(got["message"], str), state
            seen.add(got["status"])
    assert seen >= {"Healthy", "Progressing", "Degraded"}
    assert ("Suspended" in seen) == (kind != "ModelVersion")


@pytest.mark.parametrize("kind", list(KINDS))
def test_an_object_without_a_status_is_on_its_way(kind: str) -> None:
    """Also with a definition from before the default of the status."""
    judge = health(kind)
    for status in ({}, {"status": {}}, {"status": {"observedGeneration": 1}}, {"status": {"conditions": []}}):
        got = judge({"kind": kind, "metadata": {"name": "a", "generation": 1}, "spec": {}, **status})
        assert got["status"] == "Progressing"


def test_the_config_map_holds_the_scripts() -> None:
    """What is applied to Argo CD is what was tested."""
    [config] = yaml.safe_load_all((FOLDER / "argocd" / "argocd-cm.yaml").read_text())
    assert config["data"] == {f"resource.customizations.health.mlops.dev_{kind}": script(kind) for kind in KINDS}
