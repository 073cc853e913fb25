"""Categories that are personal data: a model knows them by keyed hashes, and never in plain text.

A mask stands between the columns and the engine. At training and at serving the values of a masked column are replaced
by the same tokens, so that a model's file and its description hold tokens only. The salt lies beside them: who has the
model can still ask whether one guessed value is a category of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops.workloads.floor.model.signature import Encoding, Mask

TOKEN_BYTES = 16
SALT_BYTES = 32


def salt_of(column: str, values: Iterable[str]) -> str:
    """Return the salt of a column as hex: it follows from the values trained on, so that a model can be made again."""
    seen = hashlib.blake2b(column.encode(), digest_size=SALT_BYTES, person=b"mlops-mask")
    for value in sorted(set(values)):
        text = value.encode("utf-8", "surrogatepass")
        seen.update(len(text).to_bytes(8, "little") + text)
    return seen.hexdigest()


def token(salt: bytes, value: str) -> str:
    """Return what stands for a value."""
    return hashlib.blake2b(value.encode("utf-8", "surrogatepass"), key=salt, digest_size=TOKEN_BYTES).hexdigest()


def masked(masks: Iterable[Mask], columns: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    """Return the columns (n,) with tokens in the masked ones; what is missing (None, "") stays so."""
    hidden: dict[str, NDArray[Any]] = {}
    for mask in masks:
        salt = bytes.fromhex(mask.salt)
        values = columns[mask.column].tolist()
        tokens = np.empty(len(values), dtype=object)
        tokens[:] = [token(salt, value) if value else value for value in values]
        hidden[mask.column] = tokens
    return {**columns, **hidden} if hidden else columns


def masked_encoding(masks: Iterable[Mask], encoding: Encoding) -> Encoding:
    """Return the encoding with tokens for categories, in the order of the values they stand for.

    With the order kept, matrix and model are bit for bit those of the plain values.
    """
    salts = {mask.column: bytes.fromhex(mask.salt) for mask in masks}
    texts = tuple(
        text.evolve(categories=tuple(token(salts[text.column], one) for one in text.categories))
        if text.column in salts
        else text
        for text in encoding.texts
    )
    return encoding.evolve(texts=texts)
