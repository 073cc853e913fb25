"""How a task gets into a pod, by its environment, and how the pod ends: names of variables and exit codes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import count, takewhile
from typing import Any

from mlops.api.base import Model

TASK_VARIABLE = "MLOPS_TASK"
STORE_VARIABLE = "MLOPS_STORE"  # file:///… or s3://bucket/prefix
BUCKETS_VARIABLE = "MLOPS_BUCKETS"  # only beside a file store: the folder that s3:// URIs resolve to
INPUTS_VARIABLE = "MLOPS_INPUTS"
OUTPUTS_VARIABLE = "MLOPS_OUTPUTS"
TERMINATION_VARIABLE = "MLOPS_TERMINATION_LOG"  # default /dev/termination-log
JOB_VARIABLE = "MLOPS_JOB"  # the name of the pod's Job, from its label batch.kubernetes.io/job-name
LOG_FORMAT_VARIABLE = "MLOPS_LOG_FORMAT"  # text or json; the operator sets it
HOST_VARIABLE = "MLOPS_HOST"
PORT_VARIABLE = "MLOPS_PORT"  # where a model server listens
GRPC_PORT_VARIABLE = "MLOPS_GRPC_PORT"  # where it speaks gRPC; without one it does not
CAPTURE_KEY_VARIABLE = "MLOPS_CAPTURE_KEY"  # what model servers choose captured requests by; a random one if not set
STORE_ROOT_VARIABLE = "MLOPS_STORE_ROOT"  # with a store per namespace: what all of them lie under
S3_KEYS_VARIABLE = "MLOPS_S3_KEYS"  # a folder with a file per key of the Secret, which follows the Secret's changes
# Folders with the files of Secrets that a stage names; they follow the Secrets' changes.
API_KEYS_VARIABLE = "MLOPS_API_KEYS"
JWKS_VARIABLE = "MLOPS_JWKS"
TLS_VARIABLE = "MLOPS_TLS"
DRAIN_VARIABLE = "MLOPS_DRAIN_SECONDS"  # for how long it goes on answering after it was told to stop
S3_SECRET_VARIABLE = "MLOPS_S3_SECRET"  # namespace/name of the Secret that the S3 settings come from, for messages
SOURCE_PREFIX = "SOURCE_"  # before each key of a source's own Secret in the environment
HTTP_NETWORKS_VARIABLE = "MLOPS_HTTP_ALLOWED_NETWORKS"  # CIDRs that http sources may reach though not public
EXIT_DONE = 0
EXIT_RETRY = 1  # a passing fault: try again
EXIT_BAD_INPUT = 2  # the input is bad: trying again cannot help
EXIT_PUT_ASIDE = 3  # of scoring: done, but rows were put aside
# Linux starts no process with a longer string than 128 KiB in its environment.
_LONGEST_VALUE = 100_000
# A kubelet puts variables in where a value has $(NAME), and takes $$ for $.
_REFERENCE = re.compile(r"\$(?=[$(])")
# Nothing is imported but what is installed: no folder that somebody else may write to is on the interpreter's path.
SAFE_PYTHON = {"PYTHONNOUSERSITE": "1", "PYTHONSAFEPATH": "1"}


def task_environment(task: Model) -> list[dict[str, Any]]:
    """Return the env entries of a pod for `task`: one, or for a long one several, MLOPS_TASK_2 and so on."""
    text = json.dumps(task.dump(), separators=(",", ":"), sort_keys=True)
    pieces = [text[start : start + _LONGEST_VALUE] for start in range(0, len(text), _LONGEST_VALUE)]
    return [
        {"name": _task_variable(number), "value": _REFERENCE.sub("$$", piece)}
        for number, piece in enumerate(pieces, start=1)
    ]


def task_text(environ: Mapping[str, str]) -> str:
    """Return the task's JSON from a pod's environment; empty if it has none."""
    names = takewhile(environ.__contains__, map(_task_variable, count(1)))
    return "".join(environ[name] for name in names)


def _task_variable(number: int) -> str:
    return TASK_VARIABLE if number == 1 else f"{TASK_VARIABLE}_{number}"
