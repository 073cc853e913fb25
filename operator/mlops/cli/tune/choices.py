"""What is tried: lengths of a window, times between two checks, and limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from mlops.api.drift_monitor import Check

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
# Times between two checks that a cron line can say, the shortest first. Months and years are about as long.
SCHEDULES: tuple[tuple[timedelta, str], ...] = (
    *((timedelta(minutes=n), f"*/{n} * * * *") for n in (5, 10, 15, 30)),
    (_HOUR, "0 * * * *"),
    *((n * _HOUR, f"0 */{n} * * *") for n in (2, 3, 4, 6, 8, 12)),
    (_DAY, "0 0 * * *"),
    (7 * _DAY, "0 0 * * 0"),
    (_DAY * 365 / 12, "0 0 1 * *"),
    *((_DAY * 365 * n / 12, f"0 0 1 */{n} *") for n in (2, 3, 6)),
    (365 * _DAY, "0 0 1 1 *"),
)
_FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
# History holds at least so many windows of a length, and blocks are so many to a window.
FEWEST_WINDOWS = 4
BLOCKS = 4
_STRICTER = Decimal("0.1")
# A smaller level is as good as none, and has more digits than a manifest takes.
_LEAST_ALPHA = Decimal("1e-9")
_MORE = 2
# A month is as long as thirty days, and thirty-one.
_ABOUT = 1.1


@dataclass(frozen=True)
class CheckLimits:
    """The checks of a monitor with other limits, in words."""

    name: str
    checks: tuple[Check, ...]
    changed: bool = True


def lengths(asked: timedelta, history: timedelta, rows: int, min_samples: int) -> tuple[timedelta, ...]:
    """Return the lengths of a window that are tried: about `asked`, each with enough rows, and often in `history`."""
    tried = (_whole(asked * factor) for factor in _FACTORS)
    fitting = {each for each in tried if history / each >= FEWEST_WINDOWS and rows * (each / history) >= min_samples}
    return tuple(sorted(fitting))


def _whole(length: timedelta) -> timedelta:
    """Return the length in whole days, hours or minutes, as a manifest says it."""
    unit = next((each for each in (_DAY, _HOUR) if length >= 2 * each), timedelta(minutes=1))
    return max(1, round(length / unit)) * unit


def schedules(length: timedelta) -> tuple[tuple[timedelta, str], ...]:
    """Return how often a window of this length is checked: once in it, so that no row is left out, and four times."""
    return tuple(dict.fromkeys(_at_most(wanted * _ABOUT) for wanted in (length, length / 4)))


def _at_most(interval: timedelta) -> tuple[timedelta, str]:
    return max((each for each in SCHEDULES if each[0] <= interval), default=SCHEDULES[0])


def limits_of(checks: Sequence[Check]) -> tuple[CheckLimits, ...]:
    """Return the checks as they are written, at a tenth of their level, and with twice the least change on top."""
    strict = tuple(each.evolve(alpha=_stricter(each.alpha)) for each in checks)
    return (
        CheckLimits("as written", tuple(checks), changed=False),
        CheckLimits("alpha / 10", strict),
        CheckLimits("alpha / 10, sizes x 2", tuple(_of_larger(each) for each in strict)),
    )


def _of_larger(check: Check) -> Check:
    """Ask of a check for a change that is twice as large; a least drop that depends on the metric stays."""
    drop = None if check.min_drop is None else _plain(Decimal(check.min_drop) * _MORE)
    return check.evolve(min_effect_size=_plain(Decimal(check.min_effect_size) * _MORE), min_drop=drop)


def _stricter(alpha: str) -> str:
    return alpha if Decimal(alpha) < _LEAST_ALPHA else _plain(max(Decimal(alpha) * _STRICTER, _LEAST_ALPHA))


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"
