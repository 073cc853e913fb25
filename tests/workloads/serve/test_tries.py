"""How often an address may be wrong, and what that costs whoever is right."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops.api.stage_access import StageAuth
from mlops.workloads.serve import tries
from mlops.workloads.serve.auth import Denial, RequestGuard
from mlops.workloads.serve.tries import ADDRESS_TRIES, ALL_TRIES, MOST_ADDRESSES, FailedTries, network_of
from tests.workloads.serve.test_auth import BATCH, HERE, Tokens, a_keyring, bearer

ELSEWHERE = "10.0.0.7"
WRONG = bearer(b"a-key-that-nobody-has")


class Clock:
    """A time that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Verifying(Tokens):
    """Remembers the token that it has verified."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[bytes, str] = {}

    def known_subject_of(self, digest: bytes) -> str | None:
        return self.known.get(digest)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens() -> Verifying:
    return Verifying()


@pytest.fixture
def guard(clock: Clock, tokens: Verifying) -> RequestGuard:
    auth = StageAuth.model_validate(
        {
            "apiKeys": {"secretRef": {"name": "clients"}},
            "jwt": {"jwksSecretRef": {"name": "keys"}, "issuer": "https://i", "audience": "weather"},
        }
    )
    return RequestGuard(auth, a_keyring(), tokens, FailedTries(clock))


def test_who_is_wrong_too_often_waits_and_no_signature_is_verified_for_him(
    guard: RequestGuard, clock: Clock, tokens: Verifying
) -> None:
    """One more try each second; other addresses have their own."""
    for _ in range(ADDRESS_TRIES):
        assert guard.allowed("infer", WRONG, HERE) is Denial.NOT_ACCEPTED
    assert tokens.verified == ADDRESS_TRIES
    for headers in (WRONG, bearer(b"another.wrong.token"), [(b"x-api-key", b"x" * 20)], [*WRONG, *bearer(BATCH)]):
        assert guard.allowed("infer", headers, HERE) is Denial.TOO_MANY_TRIES
    assert tokens.verified == ADDRESS_TRIES
    assert guard.wait_seconds(HERE) == 1
    assert guard.allowed("infer", WRONG, ELSEWHERE) is Denial.NOT_ACCEPTED
    clock.now += 1
    assert guard.allowed("infer", WRONG, HERE) is Denial.NOT_ACCEPTED
    assert guard.allowed("infer", WRONG, HERE) is Denial.TOO_MANY_TRIES
    assert guard.denied["infer", Denial.TOO_MANY_TRIES] == 5


def test_a_right_key_is_never_kept_waiting(guard: RequestGuard, tokens: Verifying) -> None:
    """Whoever else is wrong behind the same address; nor a token that was verified before. A new one waits."""
    tokens.known[hashlib.sha256(b"a.known.token").digest()] = "service:billing"
    for _ in range(3 * ADDRESS_TRIES):
        guard.allowed("infer", WRONG, HERE)
    assert guard.allowed("infer", bearer(BATCH), HERE) is None
    assert guard.allowed("infer", bearer(b"a.known.token"), HERE) is None
    assert guard.allowed("health", [], HERE) is None
    assert guard.allowed("infer", [], HERE) is Denial.NOTHING_GIVEN
    assert guard.allowed("infer", bearer(b"a.good.token"), HERE) is Denial.TOO_MANY_TRIES
    assert guard.allowed("infer", bearer(b"a.good.token"), ELSEWHERE) is None


def test_what_is_right_takes_no_try(guard: RequestGuard) -> None:
    for _ in range(3 * ADDRESS_TRIES):
        assert guard.allowed("infer", bearer(BATCH), HERE) is None
        assert guard.allowed("infer", bearer(b"a.good.token"), HERE) is None
        assert guard.allowed("infer", [], HERE) is Denial.NOTHING_GIVEN
    assert guard.allowed("infer", WRONG, HERE) is Denial.NOT_ACCEPTED


def test_many_addresses_together_are_bounded_in_tries_and_in_memory(
    guard: RequestGuard, clock: Clock, tokens: Verifying
) -> None:
    """A new address for each try brings no more than the bucket of all."""
    said = [guard.allowed("infer", WRONG, f"10.1.{one >> 8}.{one & 255}") for one in range(10 * ALL_TRIES)]
    assert said.count(Denial.NOT_ACCEPTED) == tokens.verified == ALL_TRIES
    assert guard.allowed("infer", bearer(BATCH), ELSEWHERE) is None
    counted = FailedTries(clock)
    for one in range(2 * MOST_ADDRESSES):
        counted.failed(f"10.{one >> 16}.{one >> 8 & 255}.{one & 255}")
    assert len(counted) == MOST_ADDRESSES


@given(steps=st.lists(st.tuples(st.integers(0, 2), st.floats(0, 30)), max_size=200))
def test_no_order_of_tries_lets_more_through_than_the_buckets_have(steps: list[tuple[int, float]]) -> None:
    """Of each address and of all, at any time; who was told to wait so long may try then."""
    clock = Clock()
    counted = FailedTries(clock)
    let_through = dict.fromkeys(range(3), 0)
    for address, pause in steps:
        clock.now += pause
        wait = counted.wait_seconds(str(address))
        if wait:
            clock.now += wait
            assert counted.wait_seconds(str(address)) == 0
        counted.failed(str(address))
        let_through[address] += 1
        most = ADDRESS_TRIES + tries.ADDRESS_TRIES_PER_SECOND * (clock.now - 1000)
        assert all(number <= most + 1e-6 for number in let_through.values())
        assert sum(let_through.values()) <= ALL_TRIES + tries.ALL_TRIES_PER_SECOND * (clock.now - 1000) + 1e-6


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("not:an:address", "not:an:address"),
        ("", ""),
    ],
)
def test_an_address_of_ipv6_is_counted_as_its_network(address: str, counted: str) -> None:
    """Whoever has one has 2^64."""
    assert network_of(address) == counted
