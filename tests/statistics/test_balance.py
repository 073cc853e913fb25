"""Two samples whose shares changed are compared as if they came at the same time."""

from __future__ import annotations

import numpy as np

from mlops.statistics.balance import ROWS_OF_SLOT, balance, slots


def test_shares_that_differ_by_chance_leave_all_as_it_is() -> None:
    """In 200 draws, but for one in a thousand."""
    rng = np.random.default_rng(9)
    even = [balance(rng.binomial(1000, 0.9, 10), rng.binomial(1000, 0.1, 10)).is_even for _ in range(200)]
    assert sum(even) >= 198


def test_where_the_share_grew_the_first_sample_counts_as_the_second_lies() -> None:
    """900 and 100, then 500 each: of the first 900 a ninth counts."""
    found = balance(np.array([900, 900, 500, 500]), np.array([100, 100, 500, 500]))
    assert found.first.tolist() == [1 / 9, 1 / 9, 1.0, 1.0]
    assert found.second.all()
    assert not found.is_even


def test_what_has_no_counterpart_does_not_count() -> None:
    """When the second gets all, there is nothing to compare it with."""
    found = balance(np.array([900, 500, 3]), np.array([100, 500, 1000]))
    assert found.second.tolist() == [True, True, False]
    assert found.first[2] == 0.0


def test_nothing_is_balanced_with_nothing() -> None:
    assert balance(np.array([0, 0]), np.array([5, 5])).is_even
    assert balance(np.array([7]), np.array([5])).is_even


def test_slots_have_about_as_many_rows_each() -> None:
    """At least a hundred, and at most twenty slots; units without a row fall where their time does."""
    assert slots(np.array([10, 20, 30])).tolist() == [0, 0, 0]
    assert slots(np.zeros(0, dtype=np.int64)).tolist() == []
    assert slots(np.array([100, 0, 100, 100])).tolist() == [0, 1, 1, 2]
    many = slots(np.ones(100_000, dtype=np.int64))
    assert np.bincount(many).tolist() == [5000] * 20
    assert np.bincount(slots(np.ones(5 * ROWS_OF_SLOT + 7, dtype=np.int64))).min() >= ROWS_OF_SLOT
