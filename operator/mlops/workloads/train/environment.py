"""What can change a bit of a model: the locked distributions, the platform, and the numeric environment."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata

from mlops.api.digests import TRAINING_DISTRIBUTIONS, environment_digest, platform_name

# Which kernels BLAS and numpy choose. Threads are not among them: training holds itself to one.
KERNELS = ("NPY_DISABLE_CPU_FEATURES", "OPENBLAS_CORETYPE")
LIBRARIES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx", "skops", "treelite")


def distributions() -> list[tuple[str, str]]:
    """Return (name, version) of the training distributions that are installed here."""
    found: list[tuple[str, str]] = []
    for name in TRAINING_DISTRIBUTIONS:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return found


def this_platform() -> str:
    """Return this machine's platform, such as linux-x86_64-python3.11."""
    return platform_name(sys.platform, platform.machine(), (sys.version_info.major, sys.version_info.minor))


def digest() -> str:
    """Return the digest of this environment, by the rule that the operator uses too."""
    return environment_digest(distributions(), this_platform())


def described() -> dict[str, object]:
    """Return environment.json: nothing in it depends on the processor, the host or the time."""
    return {
        "formatVersion": 1,
        "distributions": dict(distributions()),
        "platform": this_platform(),
        "numericEnvironment": {name: os.environ.get(name, "") for name in KERNELS},
        "digest": digest(),
    }


def libraries() -> dict[str, str]:
    """Return the versions that a reader of the model may want to know."""
    return {name: version for name, version in distributions() if name in LIBRARIES}
