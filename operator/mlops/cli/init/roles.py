"""What the columns are for: label, time, key; what may be an id, a constant, free text, or the label told again."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import polars as pl

from mlops.cli.errors import UserError
from mlops.cli.init.deciding import Decided, Guess
from mlops.cli.init.evidence import COMPARED
from mlops.cli.init.options import InitOptions
from mlops.cli.init.proving import Proof
from mlops.cli.init.reading import Profile

_ID_NAME = re.compile(
    r"(^|[_. -])(id|uuid|guid|key|index|idx|nr|no|number|code|rowid)$|^unnamed|^column_1$", re.IGNORECASE
)
_CAMEL_ID = re.compile(r"[a-z](Id|ID)$")
MOST_CATEGORIES = 256
MOST_ENUM = 20
MOST_CLASSES = 20
FEWEST = 10  # rows of a class, of which a part trains


def find(guesses: list[Guess], wanted: str, option: str) -> Guess:
    """Return the field that a user names by its column, its name or its position. Raises UserError."""
    for by in (lambda g: g.column.name, lambda g: g.name, lambda g: str(g.column.evidence.position)):
        found = [guess for guess in guesses if by(guess) == wanted]
        if len(found) == 1:
            return found[0]
        if len(found) > 1:
            listed = ", ".join(f"{one.name} (column {one.column.evidence.position})" for one in found)
            raise UserError(f"{option} {wanted!r}: several columns have this name: say one of {listed}")
    listed = ", ".join(guess.column.name or guess.name for guess in guesses[:40])
    nameless = not any(guess.column.name for guess in guesses)
    hint = "; no row holds names as the file is read: if the first does, say --header 1" if nameless else ""
    raise UserError(f"{option} {wanted!r}: there is no such column; there are: {listed}{hint}")


def is_classification(label: Guess) -> bool:
    """Return whether the label is a class: text, a truth, or a few whole numbers none of which is rare."""
    if label.type in ("string", "boolean"):
        return True
    counts = _counts(label)
    return label.type == "int64" and 0 < len(counts) <= MOST_CLASSES and (len(counts) <= 2 or not _rare(counts))


def _counts(label: Guess) -> dict[str, int]:
    """Return how many rows each value of a label has; nothing if there are many values."""
    nulls = label.spec.get("nullValues", ())
    values = label.column.evidence.values or Counter()
    return {value: count for value, count in values.items() if value.strip() and value not in nulls}


def _rare(counts: dict[str, int]) -> str:
    """Return the value with the fewest rows, if these are too few to be learnt as a class."""
    value, count = min(counts.items(), key=lambda one: one[1])
    return f"{value!r} has {count} row{'s' if count != 1 else ''}" if count < FEWEST else ""


def assign(profile: Profile, decided: Decided, proof: Proof, options: InitOptions) -> Guess:
    """Give every field its role, and return the label. Raises UserError for a label that nothing can learn."""
    assert options.label is not None
    label = find(decided.guesses, options.label, "--label")
    _as_label(label, proof)
    key = find(decided.guesses, options.key, "--key") if options.key else None
    time = find(decided.guesses, options.time, "--time") if options.time else _only_time(decided.guesses, label, proof)
    if len({id(one) for one in (label, key, time) if one}) < sum(one is not None for one in (label, key, time)):
        raise UserError("--label, --time and --key must name different columns")
    if options.time and time is not None and time.type != "timestamp":
        raise UserError(f"--time {options.time!r}: its values are read as {time.type}: name a column of timestamps")
    if time is not None:
        time.spec["role"] = "timestamp"
        if proof.fields[time.name].missing:
            raise UserError(f"--time {options.time!r}: {proof.fields[time.name].missing} rows have no time: mend them")
    if key is not None:
        key.spec["role"] = "entityKey"
    for guess in decided.guesses:
        if all(guess is not one for one in (label, key, time)):
            _as_feature(guess, profile)
    for guess in decided.guesses:
        _describe(guess, proof, profile.rows, is_label=guess is label)
    _suspect_leaks(decided.guesses, label, proof.sample)
    if all("role" in guess.spec for guess in decided.guesses):
        raise UserError(f"{profile.delivery.names}: no column is left to learn from beside the label")
    return label


def _only_time(guesses: list[Guess], label: Guess, proof: Proof) -> Guess | None:
    """Return the one column of timestamps without a missing value, if there is one only."""
    found = [one for one in guesses if one.type == "timestamp" and one is not label]
    return found[0] if len(found) == 1 and not proof.fields[found[0].name].missing else None


def _as_label(label: Guess, proof: Proof) -> None:
    evidence, seen = label.column.evidence, proof.fields[label.name]
    label.spec["role"] = "label"
    if label.type == "timestamp":
        raise UserError(f'label "{label.name}" is a timestamp: name a column of numbers, text or truths')
    if label.type == "float64" and label.column.is_whole and _is_few(evidence.values) and _are_whole(evidence.values):
        label.spec["type"] = "int64"
    if seen.missing == evidence.rows:
        raise UserError(f'label "{label.name}" has no value in any row')
    values = _distinct(label, proof)
    if values == 1:
        raise UserError(f'label "{label.name}" has the same value in every row: there is nothing to learn')
    if label.type == "string" and (evidence.values is None or len(evidence.values) > MOST_CATEGORIES // 2):
        raise UserError(
            f'label "{label.name}" is text with more than {MOST_CATEGORIES // 2} different values: name a label with '
            "classes or numbers"
        )
    counts = _counts(label)
    if 2 < len(counts) <= MOST_CLASSES and (rare := _rare(counts)):
        if label.type == "string":
            label.doubts.append(
                f"{rare}: a class needs 2 in the part that trains: deliver more, or filter it (spec.clean)"
            )
        elif label.type == "int64":
            label.doubts.append(f"numbers, not classes, since {rare}")


def _is_few(values: Any) -> bool:
    return values is not None and len(values) <= 2


def _are_whole(values: Any) -> bool:
    return all(re.fullmatch(r"\s*-?[0-9]+(\.0*)?\s*", value) for value in values)


def _distinct(guess: Guess, proof: Proof) -> int:
    seen = proof.fields[guess.name]
    if seen.least is not None:
        return 1 if seen.least == seen.most else 2
    values = guess.column.evidence.values
    if values is None:
        return 2
    bare = {value.strip() for value in values} - set(guess.spec.get("nullValues", ()))
    return len({value.lower() for value in bare} if guess.type == "boolean" else bare)


def _as_feature(guess: Guess, profile: Profile) -> None:
    evidence = guess.column.evidence
    if guess.spec.get("role"):
        return
    if guess.type == "timestamp":
        guess.spec["role"] = "ignored"
        guess.doubts.append("a feature may be computed of it; --time makes it the row's time")
    elif evidence.values is not None and len(evidence.values) == 1 and not evidence.missing:
        guess.spec["role"] = "ignored"
        guess.doubts.append("a constant: every row has the same value")
    elif evidence.is_unique and profile.rows >= 20 and (_is_id(evidence.name, guess) or guess.type == "string"):
        guess.spec["role"] = "ignored"
        guess.doubts.append(f"an id? no value twice in the first {COMPARED:,} rows; --key makes it the row's key")
    elif guess.type == "string" and evidence.values is None:
        guess.spec["role"] = "ignored"
        guess.doubts.append(f"more than {MOST_CATEGORIES} different texts")
    elif _is_id(evidence.name, guess):
        guess.doubts.append("an id? if it is one, say role: ignored")


def _is_id(name: str, guess: Guess) -> bool:
    return guess.type in ("string", "int64") and bool(_ID_NAME.search(name) or _CAMEL_ID.search(name) or not name)


def _describe(guess: Guess, proof: Proof, rows: int, *, is_label: bool) -> None:
    evidence, seen = guess.column.evidence, proof.fields[guess.name]
    if seen.missing:
        guess.spec["nullable"] = True
        guess.remarks.insert(0, f"missing in {seen.missing:,} of {rows:,} rows")
    if seen.least is not None:
        guess.remarks.insert(0, f"{_short(seen.least)} to {_short(seen.most)}")
    if guess.type != "string" or evidence.values is None or guess.spec.get("role") in ("ignored", "entityKey"):
        return
    values = sorted(set(evidence.values) - set(guess.spec.get("nullValues", ())))
    is_short = all(values) and max(map(len, values), default=0) <= 64
    if is_short and (is_label or (len(values) <= MOST_ENUM and rows >= 10 * len(values))):
        guess.spec["enum"] = values


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value).removesuffix("+00:00")


def _suspect_leaks(guesses: list[Guess], label: Guess, sample: pl.DataFrame) -> None:
    """Point out features that tell the label by themselves, in the first rows."""
    for guess in guesses:
        if "role" not in guess.spec and sample.height >= 50 and _tells(sample, guess, label):
            guess.doubts.append("a leak? it tells the label by itself: is it known before the label is?")


def _tells(sample: pl.DataFrame, guess: Guess, label: Guess) -> bool:
    frame = sample.select(pl.col(guess.name).alias("x"), pl.col(label.name).alias("y")).drop_nulls()
    if frame.height < 50:
        return False
    if guess.type in ("float64", "int64") and label.type in ("float64", "int64") and not is_classification(label):
        x, y = frame["x"].to_numpy().astype(float), frame["y"].to_numpy().astype(float)
        return bool(np.ptp(x) and np.ptp(y) and abs(np.corrcoef(x, y)[0, 1]) > 0.9999)
    if not is_classification(label):
        return False
    if guess.type in ("float64", "int64"):
        return _separates(frame)
    if frame["x"].n_unique() * 10 > frame.height:
        return False
    return bool((frame.group_by("x").agg(pl.col("y").n_unique())["y"] == 1).all())


def _separates(frame: pl.DataFrame) -> bool:
    """Return whether the ranges of the classes do not meet."""
    ranges = frame.group_by("y").agg(pl.col("x").min().alias("least"), pl.col("x").max().alias("most")).sort("least")
    return bool((ranges["least"][1:] > ranges["most"][:-1]).all())
