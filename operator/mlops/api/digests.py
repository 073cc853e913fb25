"""Digests that say what went in: canonical JSON and sha256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any


def canonical_json(value: Any) -> bytes:
    """Return `value` as JSON with sorted keys, no spaces and no NaN: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_of(value: Any) -> str:
    """Return `sha256:…` of the canonical JSON of `value`."""
    return "sha256:" + hashlib.sha256(canonical_json(value)).hexdigest()


# The distributions whose version can change a bit of a trained model.
TRAINING_DISTRIBUTIONS = (
    "mlops-operator",
    "numpy",
    "onnx",
    "onnxruntime",
    "polars",
    "scikit-learn",
    "scipy",
    "skl2onnx",
    "skops",
    "treelite",
)


def platform_name(system: str, machine: str, python: tuple[int, int]) -> str:
    """Return a platform as environment digests name it, such as `linux-x86_64-python3.11`.

    `system` is sys.platform, `machine` is platform.machine(), `python` is (major, minor).
    """
    return f"{system}-{machine}-python{python[0]}.{python[1]}"


def environment_digest(distributions: Iterable[tuple[str, str]], platform: str) -> str:
    """Return the digest of a training environment.

    `distributions` are (name, version) pairs, `platform` is a `platform_name`. Laptop and cluster agree when
    they run the same locked distributions on the same platform.
    """
    pairs = sorted([name, version] for name, version in distributions)
    return digest_of({"distributions": pairs, "platform": platform})
