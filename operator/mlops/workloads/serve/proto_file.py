"""Message classes of a .proto file, without a compiler and without generated code.

Only what open_inference.proto is written in is understood: messages in messages, scalars, `repeated`, `map`, `oneof`,
and the calls of one service. Anything else raises ValueError. The classes are of a pool of their own: a program that
has loaded another file of the same package, as clients of this protocol have, keeps it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_TOKEN: Final = re.compile(r'\s*(?://[^\n]*\n\s*)*("[^"]*"|[A-Za-z_][\w.]*|\d+|[{}()<>=;,]|$)')
_FIELD: Final = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final = {
    "bool": _FIELD.TYPE_BOOL,
    "int32": _FIELD.TYPE_INT32,
    "int64": _FIELD.TYPE_INT64,
    "uint32": _FIELD.TYPE_UINT32,
    "uint64": _FIELD.TYPE_UINT64,
    "float": _FIELD.TYPE_FLOAT,
    "double": _FIELD.TYPE_DOUBLE,
    "string": _FIELD.TYPE_STRING,
    "bytes": _FIELD.TYPE_BYTES,
}


def messages_of(text: str) -> dict[str, Any]:
    """Return the message classes of a .proto file by their full names, such as `inference.ModelInferRequest`."""
    file = file_of(text)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    descriptors = [pool.FindMessageTypeByName(f"{file.package}.{each.name}") for each in file.message_type]
    return {each.full_name: message_factory.GetMessageClass(each) for each in descriptors}


def file_of(text: str) -> descriptor_pb2.FileDescriptorProto:
    """Return what a .proto file describes. Raises ValueError."""
    return _ProtoReader(text).file()


class _ProtoReader:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._next = next(self._tokens)

    def file(self) -> descriptor_pb2.FileDescriptorProto:
        self._expect("syntax", "=", '"proto3"', ";", "package")
        file = descriptor_pb2.FileDescriptorProto(name="mlops.proto", syntax="proto3", package=self._take())
        self._expect(";")
        while self._next:
            kind = self._take()
            if kind == "message":
                self._message(file.message_type.add(), f".{file.package}")
            elif kind == "service":
                self._service(file.service.add(), f".{file.package}")
            else:
                raise ValueError(f"{kind!r} is neither a message nor a service")
        _resolve(file)
        return file

    def _message(self, message: Any, scope: str) -> None:
        message.name = self._take()
        scope = f"{scope}.{message.name}"
        self._expect("{")
        while self._next != "}":
            if self._skip("message"):
                self._message(message.nested_type.add(), scope)
            elif self._skip("oneof"):
                message.oneof_decl.add(name=self._take())
                self._expect("{")
                while self._next != "}":
                    self._field(message, scope).oneof_index = len(message.oneof_decl) - 1
                self._expect("}")
            else:
                self._field(message, scope)
        self._expect("}")

    def _field(self, message: Any, scope: str) -> Any:
        field = message.field.add(label=_FIELD.LABEL_OPTIONAL)
        entry = self._map_entry(message) if self._skip("map") else None
        if entry is not None or self._skip("repeated"):
            field.label = _FIELD.LABEL_REPEATED
        if entry is None:
            _set_type(field, self._take())
        field.name = self._take()
        if entry is not None:
            # Its name follows from the field's, as compilers have it.
            entry.name = "".join(word.capitalize() for word in field.name.split("_")) + "Entry"
            _set_type(field, f"{scope}.{entry.name}")
        self._expect("=")
        field.number = int(self._take())
        self._expect(";")
        return field

    def _map_entry(self, message: Any) -> Any:
        entry = message.nested_type.add()
        entry.options.map_entry = True
        self._expect("<")
        for number, name in ((1, "key"), (2, "value")):
            part = entry.field.add(name=name, number=number, label=_FIELD.LABEL_OPTIONAL)
            _set_type(part, self._take())
            self._expect("," if number == 1 else ">")
        return entry

    def _service(self, service: Any, scope: str) -> None:
        service.name = self._take()
        self._expect("{")
        while not self._skip("}"):
            self._expect("rpc")
            call = service.method.add(name=self._take())
            self._expect("(")
            call.input_type = f"{scope}.{self._take()}"
            self._expect(")", "returns", "(")
            call.output_type = f"{scope}.{self._take()}"
            self._expect(")", "{", "}")

    def _take(self) -> str:
        token, self._next = self._next, next(self._tokens, "")
        return token

    def _skip(self, word: str) -> bool:
        """Whether `word` comes next, which is then behind us."""
        return self._next == word and bool(self._take())

    def _expect(self, *words: str) -> None:
        for word in words:
            if (found := self._take()) != word:
                raise ValueError(f"{found!r} stands where {word!r} should")


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"{text[at : at + 20]!r} is not understood")
        at = found.end()
        yield found[1]


def _set_type(field: Any, name: str) -> None:
    if name in _SCALARS:
        field.type = _SCALARS[name]
    else:
        field.type, field.type_name = _FIELD.TYPE_MESSAGE, name


def _resolve(file: descriptor_pb2.FileDescriptorProto) -> None:
    """Give each message that is named its full name: of messages in the same one, else of the package."""

    def go(message: Any, scope: str) -> None:
        own = f"{scope}.{message.name}"
        inner = {each.name for each in message.nested_type}
        for field in message.field:
            if field.type_name and not field.type_name.startswith("."):
                place = own if field.type_name in inner else f".{file.package}"
                field.type_name = f"{place}.{field.type_name}"
        for nested in message.nested_type:
            go(nested, own)

    for message in file.message_type:
        go(message, f".{file.package}")
