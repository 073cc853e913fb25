"""Where the store is and what disk a pod may take, as the operator is told."""

from __future__ import annotations

import pytest

from mlops.cluster import options
from mlops.cluster.options import BadOption


@pytest.mark.parametrize(
    "uri", ["s3://mlops", "s3://mlops/{namespace}", "s3://mlops/a/{namespace}/b", "file:///x/{namespace}"]
)
def test_a_store_may_be_one_per_namespace(uri: str) -> None:
    assert options.pod_environment([f"MLOPS_STORE={uri}"], "") == {"MLOPS_STORE": uri}


@pytest.mark.parametrize(
    "uri", ["s3://mlops-{namespace}", "s3://mlops/{name}", "s3://m/{namespace}/{namespace}", "s3://m/{"]
)
def test_other_braces_are_refused(uri: str) -> None:
    """They would be part of every key."""
    with pytest.raises(BadOption, match="can stand once, after the bucket"):
        options.pod_environment([f"MLOPS_STORE={uri}"], "")


def test_a_limit_is_a_quantity_of_bytes() -> None:
    """Else the API server would refuse every pod."""
    for good in ("", "32Gi", "500M", "1000"):
        assert options.quantity("--scratch-limit", good) == good
    for bad in ("32GB", "-1Gi", "0", "1.5", "much"):
        with pytest.raises(BadOption, match="--scratch-limit"):
            options.quantity("--scratch-limit", bad)
