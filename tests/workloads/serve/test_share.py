"""Which version answers a request: exact shares, the same choice in every pod, and clients that stay where they are."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from mlops.api.serving_task import ServeCandidate
from mlops.workloads.serve.share import BUCKETS, Share

REQUESTS = 10_000
WEIGHTS = (1, 10, 50, 99)


def a_share(weight: int = 20, first_number: int = 0, artifact: str = "sha256:c", **more: Any) -> Share:
    """A share with one default for everything."""
    return Share(ServeCandidate(version=4, artifact=artifact, weight=weight, **more), first_number)


def choices(share: Share, by: str) -> list[bool]:
    """For so many requests whether the candidate answers."""
    if by == "id":
        return [share.choose((), f"request-{number}").is_candidates for number in range(REQUESTS)]
    if by == "header":
        return [
            share.choose([(b"host", b"x"), (b"x-user", b"user %d" % number)], "same").is_candidates
            for number in range(REQUESTS)
        ]
    return [share.choose((), share.make_id()).is_candidates for _ in range(REQUESTS)]


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("by", ["id", "header", "neither"])
def test_the_candidate_gets_its_share(by: str, weight: int) -> None:
    """Within one percent of all over 10,000 requests; of requests without an id exactly so many."""
    share = a_share(weight, first_number=7, sticky_header="X-User" if by == "header" else None)
    found = sum(choices(share, by))
    assert abs(found - weight * REQUESTS // 100) <= (REQUESTS // 100 if by != "neither" else 0)


def test_requests_without_an_id_are_spread_evenly() -> None:
    """No run of a hundred is far from its share: a process that answers few requests keeps it too."""
    found = choices(a_share(20), "neither")
    assert all(15 <= sum(found[at : at + 100]) <= 25 for at in range(0, REQUESTS - 100, 7))


@pytest.mark.parametrize("by", ["id", "header"])
def test_a_larger_share_keeps_whom_a_smaller_one_had(by: str) -> None:
    """In every process alike, whatever number it begins with."""
    sticky = "x-user" if by == "header" else None
    found = [choices(a_share(weight, first_number=weight, sticky_header=sticky), by) for weight in WEIGHTS]
    for smaller, larger in pairwise(found):
        assert all(after for before, after in zip(smaller, larger, strict=True) if before)
    assert choices(a_share(10, first_number=3, sticky_header=sticky), by) == found[1]


def test_another_candidate_meets_other_clients() -> None:
    """It is not always the same ones who get what is new."""
    first, second = (choices(a_share(50, artifact=one), "id") for one in ("sha256:a", "sha256:b"))
    assert 0.2 < sum(one and other for one, other in zip(first, second, strict=True)) / REQUESTS < 0.3


def test_nobody_and_everybody() -> None:
    """A weight of 0 gives the candidate nothing, one of 100 all."""
    for by in ("id", "neither"):
        assert sum(choices(a_share(0), by)) == 0
        assert sum(choices(a_share(100), by)) == REQUESTS


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([], id="without it"),
        pytest.param([(b"x-user", b"")], id="empty"),
        pytest.param([(b"x-users", b"anna")], id="another one"),
    ],
)
def test_without_the_sticky_header_the_id_decides(headers: list[tuple[bytes, bytes]]) -> None:
    """As it does where no header is named."""
    with_header, without = a_share(sticky_header="X-User"), a_share()
    for number in range(200):
        assert with_header.choose(headers, f"r{number}") == without.choose((), f"r{number}")


def test_the_sticky_header_decides_whatever_the_id() -> None:
    """All requests with one value go one way."""
    share = a_share(50, sticky_header="X-User")
    for user in range(20):
        found = {share.choose([(b"x-user", b"user %d" % user)], f"r{number}").is_candidates for number in range(20)}
        assert len(found) == 1


@pytest.mark.parametrize("by", ["id", "neither"])
def test_the_shadow_has_its_share_of_the_others(by: str) -> None:
    """Of the requests that the stable version answers, and of no others."""
    share = a_share(40, shadow_percent=25)
    ids = [f"r{number}" if by == "id" else None for number in range(BUCKETS)]
    found = [share.choose((), one or share.make_id()) for one in ids]
    assert not any(one.is_candidates and one.is_shadowed for one in found)
    stable = sum(not one.is_candidates for one in found)
    assert abs(sum(one.is_shadowed for one in found) / stable - 0.25) < 0.02


def test_an_id_that_was_made_here_is_another_ones_when_a_client_sends_it() -> None:
    """A client that repeats the id of an answer is chosen for by that id, each time alike."""
    share = a_share(50)
    made = share.make_id()
    share.choose((), made)
    again = "".join(made)[:1] + made[1:]
    assert len({share.choose((), str(again)).is_candidates for _ in range(10)}) == 1
