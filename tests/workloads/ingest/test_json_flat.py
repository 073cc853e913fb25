"""Many objects read at once give what they give one by one, or are left to that."""

from __future__ import annotations

import json
import random

import orjson
import pytest

from mlops.workloads.ingest import json_lines
from mlops.workloads.ingest.json_flat import flat_objects


def test_flat_objects_are_read_as_they_are_one_by_one() -> None:
    texts = [b'{"a":1,"b":"x:y"}', b'{"a":9007199254740993,"b":null}', b'{"b":"\\u00e4","c":1e-3}', b"{}"]
    assert flat_objects(texts) == [orjson.loads(text) for text in texts]


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param(
            [b'{"a":1},{"a":2}', b'{"a":[{"b":1}', b'{"c":2}]}'], id="as many objects as texts, not one in each"
        ),
        pytest.param([b'{"a":1},{"a":2}', b'{"b":"x', b'y"}'], id="a text that is cut within a string"),
        pytest.param([b'{"a":"x}', b'{y"}'], id="braces that are of one string"),
        pytest.param([b'{"a":1}\n,{"a":2}'], id="two objects in one text"),
        pytest.param([b'{"a":1', b'"b":2}'], id="an object of two texts"),
        pytest.param([b'{"a":1,"a":2}'], id="a key that stands twice"),
        pytest.param([b'{"a" :1,"a":2}'], id="a key that stands twice, once before a blank"),
        pytest.param([b'{"a":1,"a":2,"b":"x:"}'], id="a key that stands twice beside a colon"),
        pytest.param([b'{"a":{"b":1}}'], id="an object in an object"),
        pytest.param([b'{"a":1}', b"1"], id="a number"),
        pytest.param([b'{"a":"\xff"}'], id="a byte that is no letter"),
    ],
)
def test_what_may_be_otherwise_is_left_to_a_reading_one_by_one(texts: list[bytes]) -> None:
    assert flat_objects(texts) is None


def test_no_mutation_is_read_otherwise_than_one_by_one() -> None:
    """Letters of JSON changed, left out and doubled at random: many at once says nothing, or what each of them says."""
    chance = random.Random(7)
    read = 0
    for _ in range(20_000):
        texts = [b'{"a":1,"b":"x"}', b'{"a":2.5,"b":"}"}', b'{"b":null,"a":3}'][: chance.randint(1, 3)]
        for _ in range(chance.randint(0, 3)):
            i = chance.randrange(len(texts))
            at = chance.randrange(len(texts[i]) + 1)
            texts[i] = (
                texts[i][:at] + chance.choice([b"", b'"', b"{", b"}", b",", b":", b"\n", b" ", b"a"]) + texts[i][at:]
            )
            if chance.random() < 0.5:
                cut = chance.randrange(len(texts[i]))
                texts[i] = texts[i][:cut] + texts[i][cut + 1 :]
        if (found := flat_objects(texts)) is not None:
            read += 1
            assert found == [orjson.loads(text) for text in texts]
            for text, one in zip(texts, found, strict=True):
                assert len(json.loads(text, object_pairs_hook=list)) == len(one)
    assert read > 100


@pytest.mark.parametrize("cuts", [1, 2, 7, 40])
def test_batches_do_not_depend_on_how_lines_come(monkeypatch: pytest.MonkeyPatch, cuts: int) -> None:
    """At most so many texts, and no further one once they have so many bytes."""
    monkeypatch.setattr(json_lines, "_ROWS", 5)
    monkeypatch.setattr(json_lines, "_BYTES", 30)
    chance = random.Random(3)
    texts = [b"x" * chance.randint(1, 20) for _ in range(100)]
    expected: list[list[bytes]] = [[]]
    for text in texts:
        if len(expected[-1]) >= 5 or sum(map(len, expected[-1])) >= 30:
            expected.append([])
        expected[-1].append(text)
    assert list(json_lines._batches(texts[i : i + cuts] for i in range(0, 100, cuts))) == expected
