"""What the operator is told by flags and variables: what is taken, and what is refused."""

from __future__ import annotations

import re

import click
import pytest

from mlops.cluster import options
from mlops.cluster.main import main
from mlops.cluster.options import BadOption
from mlops.cluster.settings import OperatorSettings

IMAGE = {"image": "mlops-workloads:test"}


@pytest.mark.parametrize(
    "uri", ["s3://mlops", "s3://mlops/{namespace}", "s3://mlops/a/{namespace}/b", "file:///x/{namespace}"]
)
def test_a_store_may_be_one_per_namespace(uri: str) -> None:
    assert options.pod_environment([f"MLOPS_STORE={uri}"], {}) == {"MLOPS_STORE": uri}


@pytest.mark.parametrize(
    "uri", ["s3://mlops-{namespace}", "s3://mlops/{name}", "s3://m/{namespace}/{namespace}", "s3://m/{"]
)
def test_other_braces_are_refused(uri: str) -> None:
    """They would be part of every key."""
    with pytest.raises(BadOption, match="can stand once, after the bucket"):
        options.pod_environment([f"MLOPS_STORE={uri}"], {})


def test_a_limit_is_a_quantity_of_bytes() -> None:
    """Else the API server would refuse every pod."""
    for good in ("", "32Gi", "500M", "1000"):
        assert options.read({}, {**IMAGE, "scratch_limit": good}).scratch_limit == good
    for bad in ("32GB", "-1Gi", "0", "1.5", "much"):
        with pytest.raises(BadOption, match="--scratch-limit"):
            options.read({}, {**IMAGE, "scratch_limit": bad})


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        pytest.param({"MLOPS_OPERATOR_WORKER": "8"}, "did you mean MLOPS_OPERATOR_WORKERS", id="unknown"),
        pytest.param({"MLOPS_OPERATOR_WORKERS": "many"}, "MLOPS_OPERATOR_WORKERS 'many' is not in", id="word"),
        pytest.param({"MLOPS_OPERATOR_WORKERS": "65"}, "from 1 to 64", id="too many"),
        pytest.param({"MLOPS_OPERATOR_LISTEN": "8081"}, "MLOPS_OPERATOR_LISTEN '8081' is no address", id="address"),
        pytest.param({"MLOPS_OPERATOR_LOG_FORMAT": "xml"}, "must be 'text' or 'json'", id="choice"),
        pytest.param({"MLOPS_OPERATOR_POD_LOG_FORMAT": "JSON"}, "must be 'text' or 'json'", id="choice of pods"),
        pytest.param({"MLOPS_OPERATOR_NO_LEASE": "perhaps"}, "MLOPS_OPERATOR_NO_LEASE 'perhaps'", id="boolean"),
        pytest.param({"MLOPS_OPERATOR_NAMESPACES": "a,B"}, "is not the name of a namespace: 'B'", id="namespace"),
        pytest.param({"MLOPS_OPERATOR_POD_ENV": "[]"}, "has to be a JSON object of strings", id="no object"),
        pytest.param({"MLOPS_OPERATOR_POD_ENV": "{"}, "is no JSON", id="no JSON"),
        pytest.param({"MLOPS_OPERATOR_SCRATCH_LIMIT": "much"}, "is no quantity of bytes", id="quantity"),
        pytest.param({"MLOPS_OPERATOR_ENVIRONMENT_DIGEST": "1"}, "write sha256: and 64 hex digits", id="digest"),
    ],
)
def test_a_variable_that_cannot_be_used_is_told_with_name_value_and_way_out(environ: dict[str, str], says: str) -> None:
    """Nothing that was meant is passed over without a word."""
    with pytest.raises(BadOption, match=re.escape(says)):
        options.read(environ, IMAGE)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        pytest.param("MLOPS_MAX_BATCH_ROW=5", "did you mean MLOPS_MAX_BATCH_ROWS?", id="unknown"),
        pytest.param("MLOPS_TASK={}", "is read by nothing", id="the operator's own"),
        pytest.param("MLOPS_MAX_BATCH_ROWS=all", "MLOPS_MAX_BATCH_ROWS: 'all' is no whole number", id="no number"),
        pytest.param("MLOPS_HTTP_ALLOWED_NETWORKS=10.0.0.1/8", "write CIDRs such as", id="no network"),
        pytest.param("MLOPS_LOG_FORMAT=json", "is set by the operator: write --pod-log-format", id="log format"),
        pytest.param("MLOPS_LOG_LEVEL=loud", "must be 'debug', 'info', 'warning' or 'error'", id="log level"),
        pytest.param("MLOPS_S3_ADDRESSING=dns", "must be 'path' or 'virtual'", id="no addressing"),
    ],
)
def test_what_no_pod_could_use_is_refused_before_there_is_a_pod(entry: str, says: str) -> None:
    """Else each pod would say so, in each namespace, long after the change."""
    with pytest.raises(BadOption, match=re.escape(says)):
        options.read({}, {**IMAGE, "pod_env": (entry,)})


def test_a_flag_wins_and_an_empty_variable_is_none() -> None:
    """But where empty means something: no limit of a pod's disk."""
    environ = {
        "MLOPS_OPERATOR_IMAGE": "theirs",
        "MLOPS_OPERATOR_WORKERS": "8",
        "MLOPS_OPERATOR_LEASE_NAME": "",
        "MLOPS_OPERATOR_SCRATCH_LIMIT": "",
        "MLOPS_OPERATOR_NAMESPACES": "team-a, team-b,team-a",
        "MLOPS_OPERATOR_POD_ENV": '{"MLOPS_STORE": "s3://theirs", "A": "1"}',
    }
    found = options.read(environ, {"image": "mine", "pod_env": ("MLOPS_STORE=s3://mine",)})
    assert (found.image, found.workers, found.lease_name, found.scratch_limit) == ("mine", 8, "mlops-operator", "")
    assert found.namespaces == ("team-a", "team-b")
    assert found.pod_env == {"MLOPS_STORE": "s3://mine", "A": "1"}


def test_no_namespace_at_all_is_never_taken_for_all_of_them() -> None:
    """`--namespace "$TEAM"` with an empty variable must not make it work everywhere."""
    with pytest.raises(BadOption, match="--namespace"):
        options.read({}, {**IMAGE, "namespaces": ("",)})


def test_every_flag_of_the_command_line_is_a_setting() -> None:
    """And has its variable in the help."""
    flags = {option.name: option for option in main.params if option.name != "version"}
    assert flags.keys() == OperatorSettings.flags().keys()
    for field, option in flags.items():
        assert isinstance(option, click.Option)
        assert OperatorSettings.name_of(str(field)) in (option.help or "")


def test_model_servers_need_two_ports() -> None:
    """Whichever of them is given, and however."""
    assert options.read({}, {**IMAGE, "grpc_port": 9000}).grpc_port == 9000
    for environ, given in (({"MLOPS_OPERATOR_GRPC_PORT": "8080"}, {}), ({}, {"serving_port": 8081})):
        with pytest.raises(BadOption, match=r"--serving-port or .*_PORT and --grpc-port or .*: both are 80"):
            options.read(environ, {**IMAGE, **given})
