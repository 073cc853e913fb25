"""The encoding of text: one in which every byte has a meaning and the letters stand as they do in words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from mlops.cli.errors import UserError
from mlops.cli.init.options import InitOptions
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.encodings import in_utf8
from mlops.workloads.ingest.text import checked_head, open_bytes

_HEAD: Final = 1 << 16
ASCII: Final = "ascii"
# In a Western language letters with an accent stand alone or in pairs, and no sign stands inside a word.
_ODD: Final = re.compile(
    r"[^\W\d_][\u0082-\u008f\u0091-\u009f£¥¯¤¦§¬±³¹¼¾¿ƒ„…†‡ˆ‰‹›˜¸¨´][^\W\d_]|[\s,;|(][£¥¯¼¾³¹][^\W\d_]{2}"
    r"|[À-ÖØ-öø-ÿŒœŠšŽžŸ]{3}|[^\x00-\x7f\s]{4}"
)
_TRIED: Final = (
    "cp1250",
    "cp1251",
    "cp1253",
    "cp1254",
    "cp932",
    "euc-jp",
    "gb18030",
    "big5",
    "cp949",
    "koi8-r",
    "cp850",
)
_OTHERS: Final = {
    b"%PDF": "a PDF",
    b"\xd0\xcf\x11\xe0": "a workbook of an old Excel: save it as .xlsx",
    b"{\\rtf": "rich text: save it as plain text",
}
_MARKUP: Final = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body", b"<table")


def encoding_of(path: Path, options: InitOptions) -> str:
    """Return the encoding in which every byte of the file has a meaning, `ascii` if it has letters of that only.

    Raises UserError if none of those that are tried has, or if what one gives are no words.
    """
    first = next(open_bytes(path, path.name), b"")
    _check_kind(path, first)
    if options.encoding:
        tried = [options.encoding]
    elif first[:2] in (b"\xff\xfe", b"\xfe\xff"):
        tried = ["utf-16"]
    elif b"\0" in first[:4096]:
        tried = ["utf-16-le", "utf-16-be"]
    else:
        tried = ["utf-8", "cp1252"]
    problem = ""
    for encoding in tried:
        is_ascii, odd = True, b""
        try:
            for piece in in_utf8(checked_head(open_bytes(path, path.name), path.name), path.name, encoding, True):
                is_ascii = is_ascii and piece.isascii()
                if len(odd) < _HEAD:
                    odd += b"".join(line + b"\n" for line in piece.split(b"\n") if not line.isascii())[:_HEAD]
        except BadInput as error:
            problem = problem or error.message
            continue
        if encoding == "cp1252" and not options.encoding:
            _check_words(path, odd.decode(errors="ignore"))
        return ASCII if is_ascii and encoding == "utf-8" else encoding
    raise UserError(f"{problem}; none of {', '.join(tried)} reads all of the file{_choices(first)}")


def common(path: str, found: list[str]) -> str:
    """Return the one encoding that reads all files. Raises UserError if there is none."""
    kinds = sorted(set(found) - {ASCII})
    if len(kinds) > 1:
        raise UserError(
            f"{path}: the files are of several encodings ({', '.join(kinds)}), and one Dataset has one: save all as "
            "UTF-8, or name all as one by --encoding"
        )
    return kinds[0] if kinds else "utf-8"


def _check_kind(path: Path, first: bytes) -> None:
    for magic, what in _OTHERS.items():
        if first.startswith(magic):
            raise UserError(f"{path.name} is {what}: name a file of data")
    if first.removeprefix(b"\xef\xbb\xbf").lstrip()[:16].lower().startswith(_MARKUP):
        raise UserError(f"{path.name} is a page of HTML or XML, no file of data: was an error saved in its place?")


def _check_words(path: Path, text: str) -> None:
    """Raise UserError if text that was read as cp1252 has no words of a language that is written in it."""
    text = f"\n{text}"
    odd = _ODD.search(text)
    if odd is None:
        return
    at = odd.end() - 1
    shown = text[max(0, at - 10) : at + 20].strip().splitlines()[0:1] or [""]
    raise UserError(
        f"{path.name}: it is not UTF-8, and as cp1252 it says {shown[0]!r}, which are no words"
        f"{_choices(text.encode('cp1252', 'ignore'), at)}; --encoding cp1252 if it is that all the same"
    )


def _choices(raw: bytes, at: int = -1) -> str:
    """Return encodings that read the beginning, each with a piece as it reads it."""
    if at < 0:
        at = next((i for i, byte in enumerate(raw) if byte > 127), 0)
    begin = max(raw.rfind(b"\n", 0, at) + 1, at - 24)
    piece = raw[begin:].partition(b"\n")[0][:60]
    found = []
    for encoding in _TRIED:
        try:
            text = piece.decode(encoding)
        except UnicodeDecodeError as error:
            if error.start < len(piece) - 3:
                continue
            text = piece[: error.start].decode(encoding)
        if all(letter.isprintable() for letter in text.replace("\t", " ").replace("\r", " ")):
            found.append(f"{encoding} ({text.strip()[:24]!r})")
    return f": say its --encoding, such as {', '.join(found[:7])}" if found else ": name its encoding by --encoding"
