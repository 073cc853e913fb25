"""Environment variables: what a model reads, and that nothing else is read or promised."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlops.api import tasks
from mlops.api.environment import BadVariable, Variables
from mlops.api.pod_environment import POD_MODELS, IngestSettings, PodSettings, S3Settings, ServerSettings
from mlops.cli.secrets import PREFIX
from mlops.cli.state import CommandSettings
from mlops.cluster.settings import OperatorSettings

ROOT = Path(__file__).resolve().parents[2]
MODELS: tuple[type[Variables], ...] = (*POD_MODELS, OperatorSettings, CommandSettings)
# The task itself; what only a user's own container reads; the prefix of the operator's.
BESIDE = {tasks.TASK_VARIABLE, "MLOPS_TASK_2", "MLOPS_SEED", "MLOPS_OPERATOR"}
# Of the tests, of tools for developers and of `helm test`, none of which is a process of the product.
DEVELOPERS = re.compile(r"MLOPS_(TEST|CLUSTER|TOOLS|IMAGES|DIFFERENTIAL|FULL|PULL)_\w+")
_NAME = re.compile(r"\bMLOPS_[A-Z0-9]+(?:_[A-Z0-9]+)*\b")


def _named(*patterns: str) -> set[str]:
    texts = [page.read_text() for pattern in patterns for page in ROOT.glob(pattern) if page.is_file()]
    return {name for text in texts for name in _NAME.findall(text) if not DEVELOPERS.fullmatch(name)} - BESIDE


def test_each_variable_that_the_product_or_a_page_names_is_read_by_a_model() -> None:
    """None is read past the models, and no page promises one that nothing reads."""
    known = {name for model in MODELS for name in model.names()}
    named = _named("operator/mlops/**/*.py", "charts/mlops-operator/templates/*", "docs/*.md", "README.md")
    # Keys of a source's Secret have the names that their user gives: tests/cli/test_secrets.py.
    assert sorted(name for name in named - known if not name.startswith(PREFIX)) == []


@pytest.mark.parametrize("model", [IngestSettings, ServerSettings, S3Settings, OperatorSettings])
def test_each_variable_of_a_model_stands_in_the_docs(model: type[Variables]) -> None:
    """In a table that is generated from the model."""
    pages = "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    assert [name for name in model.names() if f"| `{name}` |" not in pages] == []


@pytest.mark.parametrize(
    ("model", "environ", "says"),
    [
        pytest.param(ServerSettings, {"MLOPS_PORT": "99999"}, "MLOPS_PORT: '99999' is no port", id="port"),
        pytest.param(
            ServerSettings,
            {"MLOPS_MAX_BODY_BYTES": "8MiB"},
            "MLOPS_MAX_BODY_BYTES: '8MiB' is no whole number of at least 1",
            id="unit",
        ),
        pytest.param(ServerSettings, {"MLOPS_REQUEST_SECONDS": "0"}, "of at least 1", id="too small"),
        pytest.param(ServerSettings, {"MLOPS_REQUEST_SECONDS": "9" * 30}, "of at least 1", id="too large"),
        pytest.param(ServerSettings, {"MLOPS_REQUEST_SECONDS": " 5"}, "of at least 1", id="a space"),
        pytest.param(ServerSettings, {"MLOPS_REQUEST_SECONDS": "٣"}, "of at least 1", id="other digits"),
        pytest.param(S3Settings, {"MLOPS_S3_ADDRESSING": "dns"}, "must be 'path' or 'virtual'", id="choice"),
        pytest.param(
            IngestSettings, {"MLOPS_HTTP_ALLOWED_NETWORKS": "10.0.0.0/8,x"}, "is no network: 'x'", id="network"
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_told_by_name(
    model: type[Variables], environ: dict[str, str], says: str
) -> None:
    """With the value and what to write."""
    with pytest.raises(BadVariable, match=re.escape(says)):
        model.read(environ)


def test_what_is_not_set_or_empty_is_the_default() -> None:
    """A chart that renders an empty value says nothing."""
    assert ServerSettings.read({"MLOPS_PORT": "", "SOMETHING_ELSE": "1"}) == ServerSettings()
    assert ServerSettings.read({"MLOPS_DRAIN_SECONDS": "0"}).drain_seconds == 0
    assert PodSettings.read({}).termination_log == "/dev/termination-log"


def test_keys_are_in_no_representation() -> None:
    """A log line or a traceback that shows settings tells no secret."""
    given = {"AWS_ACCESS_KEY_ID": "hidden", "AWS_SECRET_ACCESS_KEY": "hidden", "AWS_SESSION_TOKEN": "hidden"}
    assert "hidden" not in repr(S3Settings.read(given))
    assert "hidden" not in repr(ServerSettings.read({"MLOPS_CAPTURE_KEY": "hidden"}))
