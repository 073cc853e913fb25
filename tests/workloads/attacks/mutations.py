"""Mutated files: bytes, numbers in their places, and structures that are sound but for one lie."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import struct
import tokenize
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from mlops.workloads.floor.model.trusted_types import LOADERS, TRUSTED

NUMBERS = (0, 1, -1, 2, 3, 7, 127, 128, 255, 1 << 15, 1 << 20, (1 << 31) - 1, -(1 << 31), 1 << 31, (1 << 63) - 1)
Mutation = Callable[[bytes, random.Random], bytes]


class Payload:
    """Opening its pickle would make a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return (os.mkdir, (str(self.target),))


def flipped(content: bytes, chance: random.Random) -> bytes:
    """A few bytes are others."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 8, 32))):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def renumbered(content: bytes, chance: random.Random) -> bytes:
    """A number in its place is another: where indices, lengths and counts stand."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4))):
        form = chance.choice("iqIQ")
        size = struct.calcsize("<" + form)
        place = chance.randrange(0, max(1, len(changed) - size), chance.choice((1, 4)))
        value = chance.choice(NUMBERS) + chance.choice((0, 0, 1, -1))
        mask = (1 << (8 * size)) - 1
        changed[place : place + size] = (value & mask).to_bytes(size, "little")
    return bytes(changed)


def cut(content: bytes, chance: random.Random) -> bytes:
    """The end is missing, or stands there twice."""
    place = chance.randrange(1, len(content))
    return content[:place] if chance.random() < 0.7 else content + content[place:]


def spliced(content: bytes, chance: random.Random) -> bytes:
    """A piece stands in another's place."""
    size = chance.choice((4, 8, 16, 64))
    if len(content) <= 2 * size:
        return flipped(content, chance)
    source, target = chance.randrange(len(content) - size), chance.randrange(len(content) - size)
    return content[:target] + content[source : source + size] + content[target + size :]


def skops_graph(content: bytes, chance: random.Random, canary: Path) -> bytes:
    """One node of the schema, or one array, is another; the archive itself is whole."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    arrays = [name for name in members if name.endswith(".npy")]
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        if arrays and chance.random() < 0.6:
            name = chance.choice(arrays)
            members[name] = _array(members[name], chance, canary)
        else:
            schema = json.loads(members["schema.json"])
            _schema(schema, chance)
            members["schema.json"] = json.dumps(schema).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return packed.getvalue()


def _array(content: bytes, chance: random.Random, canary: Path) -> bytes:
    if chance.random() < 0.04:
        written = io.BytesIO()
        np.save(written, np.array([Payload(canary)], dtype=object), allow_pickle=True)
        return written.getvalue()
    if chance.random() < 0.04:
        return pickle.dumps(Payload(canary))
    try:
        array = np.load(io.BytesIO(content)).copy()
    except (ValueError, EOFError, OSError, SyntaxError, tokenize.TokenError):
        return flipped(content, chance)
    way = chance.randrange(6)
    if way == 0:
        return flipped(content, chance)
    if way == 1 and array.size:
        array = np.concatenate([array.ravel(), array.ravel()[:1]]) if chance.random() < 0.5 else array.ravel()[:-1]
    elif way == 2 and array.dtype.names is None and array.dtype.kind in "iufb":
        array = array.astype(chance.choice((np.int64, np.int32, np.float32, np.float64, np.uint8)))
    elif array.size:
        place = chance.randrange(array.size)
        flat = array.reshape(-1)
        value = chance.choice(NUMBERS)
        if array.dtype.names is not None:
            name = chance.choice(array.dtype.names)
            kind = array.dtype[name]
            flat[name][place] = np.array(value & 0xFFFFFFFF).astype(kind) if kind.kind in "ui" else float(value)
        elif array.dtype.kind in "iu":
            flat[place] = np.array(value & ((1 << (8 * array.itemsize)) - 1), dtype=np.uint64).astype(array.dtype)
        elif array.dtype.kind == "f":
            flat[place] = chance.choice((float("nan"), float("inf"), 1e300, -1e300, float(value)))
    written = io.BytesIO()
    np.save(written, array, allow_pickle=False)
    return written.getvalue()


def _nodes(value: Any) -> list[dict[str, Any]]:
    found = [value] if isinstance(value, dict) and "__loader__" in value else []
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return found + [node for part in parts for node in _nodes(part)]


def _schema(schema: dict[str, Any], chance: random.Random) -> None:
    nodes = _nodes(schema)
    node, other = chance.choice(nodes), chance.choice(nodes)
    way = chance.randrange(7)
    plain = [one for one in nodes if one["__loader__"] == "JsonNode"]
    if way <= 2 and plain:
        values = (*NUMBERS, None, True, "x", 0.5, 1e308, "brute", "kd_tree", [1], {})
        chance.choice(plain)["content"] = json.dumps(chance.choice(values))
    elif way == 3:
        node["__module__"], _, node["__class__"] = chance.choice(sorted(TRUSTED)).rpartition(".")
    elif way == 4:
        node["__loader__"] = chance.choice(sorted(LOADERS))
    elif way == 5:
        node["__id__"] = other.get("__id__")
    else:
        node.pop(chance.choice(sorted(node)), None)
        if chance.random() < 0.5 and isinstance(node.get("content"), dict) and node["content"]:
            node["content"].pop(chance.choice(sorted(node["content"])))


def onnx_graph(content: bytes, chance: random.Random) -> bytes:
    """One value of the graph is another; the message itself is whole."""
    model = onnx.ModelProto()
    model.ParseFromString(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        _graph(model.graph, chance)
    return bytes(model.SerializeToString())


def _graph(graph: onnx.GraphProto, chance: random.Random) -> None:
    node = chance.choice(graph.node)
    way = chance.randrange(7)
    if way <= 3 and node.attribute:
        _attribute(chance.choice(node.attribute), chance)
    elif way == 4 and graph.initializer:
        _tensor(chance.choice(graph.initializer), chance)
    elif way == 5:
        other = chance.choice(graph.node)
        if node.input and other.output:
            node.input[chance.randrange(len(node.input))] = other.output[0]
        if chance.random() < 0.3:
            node.op_type = other.op_type
    elif node.attribute:
        del node.attribute[chance.randrange(len(node.attribute))]


def _attribute(attribute: onnx.AttributeProto, chance: random.Random) -> None:
    if attribute.HasField("g"):
        _graph(attribute.g, chance)
    elif attribute.HasField("t"):
        _tensor(attribute.t, chance)
    elif attribute.ints:
        place = chance.randrange(len(attribute.ints))
        if chance.random() < 0.8:
            attribute.ints[place] = max(-(1 << 63), min((1 << 63) - 1, chance.choice(NUMBERS)))
        else:
            del attribute.ints[place]
    elif attribute.floats:
        place = chance.randrange(len(attribute.floats))
        if chance.random() < 0.6:
            attribute.floats[place] = chance.choice((float("nan"), float("inf"), -1.0, 3e38))
        else:
            del attribute.floats[place]
    elif attribute.strings:
        place = chance.randrange(len(attribute.strings))
        attribute.strings[place] = chance.choice((b"LEAF", b"BRANCH_LEQ", b"", b"\xff\xfe", attribute.strings[0]))
        if chance.random() < 0.3:
            del attribute.strings[place]
    elif attribute.type == onnx.AttributeProto.INT:
        attribute.i = max(-(1 << 63), min((1 << 63) - 1, chance.choice(NUMBERS)))
    else:
        attribute.s = chance.choice((b"", b"SOFTMAX", b"x" * 100))


def _tensor(tensor: onnx.TensorProto, chance: random.Random) -> None:
    if tensor.dims and chance.random() < 0.4:
        tensor.dims[chance.randrange(len(tensor.dims))] = max(-(1 << 63), min((1 << 63) - 1, chance.choice(NUMBERS)))
    elif tensor.raw_data:
        tensor.raw_data = (renumbered if len(tensor.raw_data) >= 8 else flipped)(tensor.raw_data, chance)
    elif tensor.int64_data:
        tensor.int64_data[chance.randrange(len(tensor.int64_data))] = chance.choice(NUMBERS)
    else:
        tensor.data_type = chance.randrange(17)


def mutated(form: str, content: bytes, chance: random.Random, canary: Path) -> bytes:
    """Return a mutated file; what is sound in its structure comes more often, since it gets further."""
    deep: Mutation | None = None
    if form == "skops":
        deep = lambda data, one: skops_graph(data, one, canary)  # noqa: E731
    elif form == "onnx":
        deep = onnx_graph
    shallow: list[Mutation] = [flipped, renumbered, renumbered, cut, spliced]
    changed = content
    while changed == content:
        if deep is not None and chance.random() < 0.75:
            changed = deep(content, chance)
        else:
            changed = chance.choice(shallow)(content, chance)
    return changed
