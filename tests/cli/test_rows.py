"""Rows that `mlops predict --file` reads from what is no plain file."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from mlops.cli.errors import UserError
from mlops.cli.predict.models import Tensor
from mlops.cli.predict.rows import Fields, columns_of, rows_in

_FIELDS = Fields((Tensor("a", "FP64", "float64"), Tensor("n", "INT64", "int64")))
_CSV = b"a,n\n0.5,1\n-2,3\n"


def test_a_named_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    pipe = tmp_path / "rows.csv"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(_CSV,))
    writer.start()
    with rows_in(pipe, None, _FIELDS) as frames:
        assert [frame.rows() for frame in frames] == [[(0.5, 1), (-2.0, 3)]]
    writer.join()


def test_what_a_shell_gives_for_a_command_is_read() -> None:
    """As in `--file <(zcat new.csv.gz) --format csv`; its name says no format."""
    with subprocess.Popen(["printf", _CSV.decode()], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        place = Path(f"/dev/fd/{process.stdout.fileno()}")
        with pytest.raises(UserError, match="say --format"), rows_in(place, None, _FIELDS):
            pass
        with rows_in(place, "csv", _FIELDS) as frames:
            assert [frame.rows() for frame in frames] == [[(0.5, 1), (-2.0, 3)]]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        pytest.param("/dev/null", "is no file", id="device"),
        pytest.param("/", "is a folder", id="folder"),
        pytest.param("/no/rows.csv", "there is no such file", id="nothing"),
    ],
)
def test_what_holds_no_rows_is_told(place: str, said: str) -> None:
    with pytest.raises(UserError, match=said), rows_in(Path(place), "csv", _FIELDS):
        pass


def test_a_cell_that_is_no_value_ends_it_with_its_place(tmp_path: Path) -> None:
    """Whether or not --keep-going is said, which is about rows that the model refuses."""
    (tmp_path / "new.csv").write_bytes(b"a,n\n0.5,1\n-2,three\n")
    with rows_in(tmp_path / "new.csv", None, _FIELDS) as frames, pytest.raises(UserError, match=r'row 2, column "n"'):
        list(frames)
    (tmp_path / "far.csv").write_bytes(b"a,n\n0.5,1\ninf,3\n")
    with rows_in(tmp_path / "far.csv", None, _FIELDS) as frames, pytest.raises(UserError, match="row 2"):
        [columns_of(frame, 1) for frame in frames]
