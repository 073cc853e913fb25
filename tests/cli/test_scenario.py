"""scenario.toml: what the world does in an example."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops.cli import scenario
from mlops.cli.errors import UserError
from tests.cli.project import REPLAY, SCENARIO


def test_a_scenario_is_read(tmp_path: Path) -> None:
    """Keys are written with hyphens, as TOML's own tools do."""
    (tmp_path / "scenario.toml").write_text(SCENARIO + REPLAY + '[images]\n"example.com/x:1" = "code"\n')
    read = scenario.beside((str(tmp_path),))
    assert read is not None
    assert read.replay is not None
    assert (read.folder, read.replay.label_delay, read.replay.stage) == (tmp_path, "1d", "production")
    assert read.images == {"example.com/x:1": "code"}


def test_it_is_found_beside_a_file_too(tmp_path: Path) -> None:
    """`-f folder/file.yaml` means the same scenario as `-f folder`."""
    (tmp_path / "scenario.toml").write_text(SCENARIO)
    assert scenario.beside((str(tmp_path / "a.yaml"), str(tmp_path))) is not None
    assert scenario.beside(("-",)) is None


def test_two_scenarios_that_only_deliver_are_one(tmp_path: Path) -> None:
    """What both deliver is delivered."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "scenario.toml").write_text(SCENARIO)
    alone = scenario.beside((str(tmp_path / "a"),))
    read = scenario.beside((str(tmp_path / "a"), str(tmp_path / "b")))
    assert alone is not None
    assert read is not None
    assert len(read.put) == 2 * len(alone.put)


def test_two_scenarios_that_replay_are_one_too_many(tmp_path: Path) -> None:
    """Silently taking one of them would leave half of the world out."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "scenario.toml").write_text(SCENARIO + REPLAY)
    with pytest.raises(UserError, match=r"several scenarios: .*; name one with --scenario"):
        scenario.beside((str(tmp_path / "a"), str(tmp_path / "b")))


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("[[put]\n", "not TOML", id="not TOML"),
        pytest.param("[[putt]]\n", "putt: unknown field", id="typo"),
        pytest.param('folder = "/"\n', "folder: unknown field", id="a name from inside"),
        pytest.param('[[put]]\nfile = "x"\n', "put[0].uri: Required value", id="missing"),
        pytest.param(
            '[[put]]\nfile = "x"\nuri = "file:///etc"\n',
            "put[0].uri: Invalid value: 'file:///etc': the form is s3://bucket/key",
            id="another scheme",
        ),
        pytest.param(
            '[[put]]\nfile = "x"\nuri = "s3://raw/../x"\n', "without .. , // , % or \\", id="a path that leads outside"
        ),
        pytest.param(REPLAY.replace("1d", "a day"), "replay.label-delay: Invalid value: 'a day'", id="duration"),
        pytest.param(REPLAY + "limit = 0\n", "replay.limit: Invalid value: 0", id="out of range"),
        pytest.param("images = 3\n", "images: Invalid value: 3", id="wrong type"),
    ],
)
def test_a_mistake_is_named_with_its_field(tmp_path: Path, text: str, want: str) -> None:
    """File, field, value and what is allowed."""
    file = tmp_path / "scenario.toml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        scenario.read(file)
    assert str(file) in caught.value.message
    assert want in caught.value.message


def test_another_encoding_is_named(tmp_path: Path) -> None:
    """TOML is UTF-8."""
    (tmp_path / "scenario.toml").write_bytes(b"# \xe9\n")
    with pytest.raises(UserError, match="not UTF-8 at byte 2"):
        scenario.read(tmp_path / "scenario.toml")
