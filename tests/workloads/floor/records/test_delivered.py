"""Labels that one container of a check hands to the next."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from mlops.api.reasons import Reason
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.records.delivered import label_files


def test_pieces_come_in_order_and_a_broken_one_is_named(tmp_path: Path) -> None:
    """The other container has read anybody's bytes: what it leaves is judged before it is opened."""
    for number, label in ((1, "b"), (0, "a")):
        pl.DataFrame({"label": [label]}).write_parquet(tmp_path / f"part-{number}.parquet")
    assert [(name, frame["label"].to_list()) for name, frame in label_files(tmp_path)] == [
        ("part-0.parquet", ["a"]),
        ("part-1.parquet", ["b"]),
    ]
    whole = (tmp_path / "part-1.parquet").read_bytes()
    (tmp_path / "part-1.parquet").write_bytes(whole[:-3])
    with pytest.raises(BadInput) as caught:
        list(label_files(tmp_path))
    assert caught.value.reason == Reason.DATA_UNUSABLE
    assert caught.value.message.startswith("part-1.parquet, written by the container that reads the labels")
