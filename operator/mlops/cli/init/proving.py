"""The proof of a guess: the product's reader reads every row of the delivery by the guessed contract."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from mlops.api.dataset import DataField, DatasetSpec
from mlops.cli.errors import UserError
from mlops.cli.init.deciding import Decided, Guess
from mlops.cli.init.delivery import Delivery
from mlops.cli.init.reading import Profile, ReadingProgress, quiet
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.aside import RowsAside
from mlops.workloads.ingest.contract import contract_of
from mlops.workloads.ingest.formats import delivered_rows
from mlops.workloads.ingest.locate import Delivered

SAMPLE = 20_000


@dataclass
class Seen:
    """What a field's values are once they are read."""

    missing: int = 0
    least: Any = None
    most: Any = None


@dataclass
class Proof:
    """Every row was read; what the fields hold, and the first rows."""

    rows: int = 0
    fields: dict[str, Seen] = field(default_factory=dict)
    sample: pl.DataFrame = field(default_factory=pl.DataFrame)


def spec_of(delivery: Delivery, decided: Decided, source: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a Dataset's spec that says how the delivery is read."""
    spec: dict[str, Any] = {"source": source, "format": delivery.format}
    if delivery.csv is not None:
        csv = delivery.csv.evolve(decimal=decided.notation.decimal, thousands=decided.notation.thousands)
        if declared := csv.model_dump(by_alias=True, exclude_defaults=True, mode="json"):
            spec["csv"] = declared
    if delivery.json_ is not None:
        spec["json"] = delivery.json_.model_dump(by_alias=True, exclude_defaults=True, mode="json")
    if delivery.excel is not None:
        spec["excel"] = delivery.excel.model_dump(by_alias=True, exclude_defaults=True, mode="json")
    return spec


def proved(profile: Profile, decided: Decided, source: dict[str, Any]) -> Proof:
    """Read everything by the contract. A column that it does not explain becomes text, or is left out; see `left_out`.

    Raises UserError if the rows cannot be read all the same, or are others than those that were counted.
    """
    if not decided.guesses:
        raise UserError(_none_is_a_field(profile, decided))
    try:
        proof = _read(profile, decided, decided.guesses, source)
    except BadInput:
        decided.guesses[:] = [guess for guess in decided.guesses if _holds(profile, decided, guess, source)]
        if not decided.guesses:
            raise UserError(f"{profile.delivery.names}: no column of it can be read") from None
        try:
            proof = _read(profile, decided, decided.guesses, source)
        except BadInput as error:
            raise UserError(error.message) from error
    if proof.rows != profile.rows:
        raise UserError(f"{profile.delivery.names}: {profile.rows} rows were read as {proof.rows}: report this")
    return proof


def _none_is_a_field(profile: Profile, decided: Decided) -> str:
    way_out = "deliver a file with columns of numbers, texts, truths or times"
    if profile.delivery.format == "excel":
        way_out = (
            "if titles stand above the names, delete their rows; or write the Dataset by hand, with the first name's "
            "cell as spec.excel.range, such as A3"
        )
    return f"{profile.delivery.names}: no column can be a field: {'; '.join(decided.left_out)[:400]}: {way_out}"


def _holds(profile: Profile, decided: Decided, guess: Guess, source: dict[str, Any]) -> bool:
    """Return whether a field alone can be read, as text if not as it was guessed."""
    problem = ""
    for kind in dict.fromkeys((guess.type, "string")):
        changed = {name: guess.spec[name] for name in ("name", "column", "position", "role") if name in guess.spec}
        spec = guess.spec if kind == guess.type else changed | {"type": kind}
        try:
            _read(profile, decided, [Guess(spec, guess.column)], source)
        except BadInput as error:
            problem = problem or error.message
            continue
        if spec is not guess.spec:
            guess.doubts.append(f"text: {problem}")
            guess.spec = spec
        return True
    decided.left_out.append(f"{guess.column.name}: {problem}")
    return False


def _read(profile: Profile, decided: Decided, guesses: list[Guess], source: dict[str, Any]) -> Proof:
    delivery = profile.delivery
    fields = [DataField.model_validate(guess.spec | {"nullable": True}).dump() for guess in guesses]
    spec = DatasetSpec.model_validate(spec_of(delivery, decided, source) | {"fields": fields})
    contract = contract_of(spec)
    proof, progress = Proof(fields={guess.name: Seen() for guess in guesses}), ReadingProgress("checked")
    sample: list[pl.DataFrame] = []
    for path, original in zip(delivery.copies, delivery.files, strict=True):
        file = Delivered(original.name, path)
        for frame in quiet(delivered_rows(file, spec, contract, None, RowsAside())):
            _note(proof, frame)
            if sum(one.height for one in sample) < SAMPLE:
                sample.append(frame.head(SAMPLE))
            progress.add(frame.height)
    proof.sample = pl.concat(sample) if sample else pl.DataFrame()
    return proof


def _note(proof: Proof, frame: pl.DataFrame) -> None:
    proof.rows += frame.height
    for name, seen in proof.fields.items():
        values = frame[name]
        seen.missing += values.null_count()
        if values.dtype in (pl.String, pl.Boolean) or values.null_count() == len(values):
            continue
        least, most = values.min(), values.max()
        seen.least = least if seen.least is None else min(seen.least, least)
        seen.most = most if seen.most is None else max(seen.most, most)
