"""Queries of as many rows as one likes: a key, a time, two numbers and a text, made as they are asked for."""

from __future__ import annotations

FIELDS = [
    {"name": "id", "type": "int64", "role": "entityKey"},
    {"name": "at", "type": "timestamp", "role": "timestamp"},
    {"name": "price", "type": "float64"},
    {"name": "amount", "type": "float64"},
    {"name": "word", "type": "string"},
]
QUERY = {
    "postgresql": (
        "SELECT g AS id, timestamptz '2024-01-01' + g * interval '1 second' AS at, g * 0.25 AS price, "
        "sqrt(g) AS amount, {word} AS word FROM generate_series(1, {rows}) g"
    ),
    "mariadb": (
        "SELECT seq AS id, TIMESTAMP '2024-01-01 00:00:00' + INTERVAL seq SECOND AS at, seq * 0.25 AS price, "
        "SQRT(seq) AS amount, {word} AS word FROM seq_1_to_{rows}"
    ),
}
WORD = {"postgresql": "'word ' || g % 1000", "mariadb": "CONCAT('word ', seq % 1000)"}
LONG_WORD = {"postgresql": "repeat('x', 100000) || g", "mariadb": "CONCAT(REPEAT('x', 100000), seq)"}
