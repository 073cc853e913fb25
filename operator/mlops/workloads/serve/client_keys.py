"""API keys of clients, known by their SHA-256 alone."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final, NamedTuple

from mlops.workloads.floor.log import warn
from mlops.workloads.serve.mounted_files import Files, Unusable

_HASHED: Final = b"sha256:"
_HEX: Final = re.compile(rb"[0-9a-f]{64}")
# Shorter ones can be found by trying; longer ones fit into no head.
_SHORTEST, _LONGEST = 16, 512
_PLAIN: Final = re.compile(rb"[!-~]+")


class _Holder(NamedTuple):
    digest: bytes
    client: str | None


# Whom a key that nobody has is compared with, so that it takes as long.
_NOBODY: Final = _Holder(bytes(32), None)


class ClientKeyring:
    """Which client has which key. A file is a client; each word in it is a key, or `sha256:` and the hex of its hash.

    What cannot be used is left out, and told of by the client's name: a key of fewer than 16 characters, one that two
    clients have.
    """

    def __init__(self) -> None:
        self._by_digest: dict[bytes, _Holder] = {}

    def take(self, files: Files) -> None:
        """Take the keys of now in the place of those before. Raises Unusable if there is none."""
        held: dict[bytes, set[str]] = {}
        bad: dict[str, str] = {}
        for client, content in files.items():
            words = content.split()
            if not words:
                bad[client] = "is empty"
            for word in words:
                digest = _digest_of(word)
                if isinstance(digest, str):
                    bad[client] = digest
                else:
                    held.setdefault(digest, set()).add(client)
        for clients in (each for each in held.values() if len(each) > 1):
            bad |= dict.fromkeys(clients, "holds a key that another client has too: give each its own")
        self._by_digest = {
            digest: _Holder(digest, next(iter(clients))) for digest, clients in held.items() if len(clients) == 1
        }
        said = "; ".join(f"{client}: {why}" for client, why in sorted(bad.items())[:5])
        if not self._by_digest:
            raise Unusable(
                said or "it must hold a key for each client, such as batch: the key, or sha256: and its hash"
            )
        if said:
            warn(f"api-keys: some keys are of no use: {said}")

    def client_of(self, digest: bytes) -> str | None:
        """Return whose key has this SHA-256; None if nobody's."""
        # How long it takes to look it up says something of the hash, of which no key follows.
        holder = self._by_digest.get(digest, _NOBODY)
        return holder.client if hmac.compare_digest(holder.digest, digest) else None


def _digest_of(word: bytes) -> bytes | str:
    """Return the SHA-256 that a word stands for, or why it stands for none."""
    if word.startswith(_HASHED):
        text = word.removeprefix(_HASHED)
        return bytes.fromhex(text.decode()) if _HEX.fullmatch(text) else "sha256: is not followed by 64 hex digits"
    if not _SHORTEST <= len(word) <= _LONGEST or not _PLAIN.fullmatch(word):
        return f"a key has {_SHORTEST} to {_LONGEST} characters of printable ASCII, without spaces"
    return hashlib.sha256(word).digest()
