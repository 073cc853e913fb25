"""Who may use which addresses, by API keys and by what a stage says of them."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from mlops.api.stage_access import StageAuth
from mlops.workloads.serve.auth import Denial, RequestGuard, group_of
from mlops.workloads.serve.client_keys import ClientKeyring
from mlops.workloads.serve.mounted_files import Unusable

BATCH, LABELS = b"batch-batch-batch-key", b"labels-labels-labels-key"
HERE = "127.0.0.1"
Headers = list[tuple[bytes, bytes]]


def a_keyring(**files: bytes) -> ClientKeyring:
    keyring = ClientKeyring()
    keyring.take(files or {"batch": BATCH, "labels": b"sha256:" + hashlib.sha256(LABELS).hexdigest().encode() + b"\n"})
    return keyring


class Tokens:
    """Knows one token, which was never seen before."""

    def __init__(self) -> None:
        self.verified = 0

    def known_subject_of(self, digest: bytes) -> str | None:
        return None

    def subject_of(self, token: bytes, digest: bytes) -> str | None:
        self.verified += 1
        assert digest == hashlib.sha256(token).digest()
        return "service:billing" if token == b"a.good.token" else None


def a_guard(**routes: Any) -> RequestGuard:
    auth = StageAuth.model_validate(
        {
            "apiKeys": {"secretRef": {"name": "clients"}},
            "jwt": {"jwksSecretRef": {"name": "keys"}, "issuer": "https://i", "audience": "weather"},
            "routes": routes,
        }
    )
    return RequestGuard(auth, a_keyring(), Tokens())


def bearer(credential: bytes) -> Headers:
    return [(b"host", b"x"), (b"authorization", b"Bearer " + credential)]


def test_keys_and_tokens_are_taken_in_either_header() -> None:
    """A key as itself or by its hash, a token as a bearer's."""
    guard = a_guard()
    for headers in (
        bearer(BATCH),
        bearer(LABELS),
        bearer(b"a.good.token"),
        [(b"x-api-key", BATCH)],
        [(b"authorization", b"bEARER   " + BATCH)],
    ):
        assert guard.allowed("infer", headers, HERE) is None
    assert not guard.denied


@pytest.mark.parametrize(
    ("headers", "denial"),
    [
        pytest.param([], Denial.NOTHING_GIVEN, id="nothing"),
        pytest.param([(b"host", b"x"), (b"cookie", BATCH)], Denial.NOTHING_GIVEN, id="elsewhere"),
        pytest.param(bearer(b"batch-batch-batch-kez"), Denial.NOT_ACCEPTED, id="another key"),
        pytest.param(bearer(BATCH[:-1]), Denial.NOT_ACCEPTED, id="a part of a key"),
        pytest.param(bearer(BATCH + b"\x00"), Denial.NOT_ACCEPTED, id="more than a key"),
        pytest.param(bearer(hashlib.sha256(LABELS).hexdigest().encode()), Denial.NOT_ACCEPTED, id="the hash"),
        pytest.param(
            bearer(b"sha256:" + hashlib.sha256(LABELS).hexdigest().encode()), Denial.NOT_ACCEPTED, id="what is stored"
        ),
        pytest.param(bearer(b""), Denial.NOT_ACCEPTED, id="empty"),
        pytest.param([(b"authorization", BATCH)], Denial.NOT_ACCEPTED, id="no scheme"),
        pytest.param([(b"authorization", b"Basic " + BATCH)], Denial.NOT_ACCEPTED, id="another scheme"),
        pytest.param([(b"x-api-key", b"Bearer " + BATCH)], Denial.NOT_ACCEPTED, id="a scheme where none belongs"),
        pytest.param([(b"x-api-key", b"a.good.token")], Denial.NOT_ACCEPTED, id="a token as a key"),
        pytest.param(bearer(BATCH) * 2, Denial.NOT_ACCEPTED, id="twice"),
        pytest.param([*bearer(BATCH), (b"x-api-key", b"nonsense")], Denial.NOT_ACCEPTED, id="two that differ"),
        pytest.param(bearer(b"\xff" * 5000), Denial.NOT_ACCEPTED, id="thousands of bytes"),
    ],
)
def test_whoever_is_not_known_gets_nothing(headers: Headers, denial: Denial) -> None:
    """And is counted by the group and by what is wrong, never by what was sent."""
    guard = a_guard()
    for route, group in (("infer", "infer"), ("flush", "admin"), ("page", "infer"), ("other", "infer")):
        before = guard.denied[group, denial]  # type: ignore[index]
        assert guard.allowed(route, headers, HERE) is denial
        assert guard.denied[group, denial] == before + 1  # type: ignore[index]
        assert guard.allowed("health", headers, HERE) is None


def test_a_group_may_be_of_some_and_of_everybody() -> None:
    """A client's name is no subject, and the other way round."""
    guard = a_guard(
        infer={"clients": ["batch"], "subjects": ["labels"]},
        admin={"subjects": ["service:billing"]},
        metrics={"access": "Anonymous"},
    )
    assert guard.allowed("infer", bearer(BATCH), HERE) is None
    assert guard.allowed("infer", bearer(LABELS), HERE) is Denial.NOT_ALLOWED
    assert guard.allowed("flush", bearer(BATCH), HERE) is Denial.NOT_ALLOWED
    assert guard.allowed("flush", bearer(b"a.good.token"), HERE) is None
    assert guard.allowed("feedback", bearer(LABELS), HERE) is None
    assert guard.allowed("metrics", [], HERE) is None
    assert guard.denied == {("infer", Denial.NOT_ALLOWED): 1, ("admin", Denial.NOT_ALLOWED): 1}


def test_every_address_but_health_has_a_group() -> None:
    """What a later release adds is closed until somebody says otherwise."""
    assert group_of("health") is None
    assert {group_of(name) for name in ("infer", "page", "model", "server", "other", "refused", "new")} == {"infer"}
    assert [group_of(name) for name in ("feedback", "flush", "metrics")] == ["feedback", "admin", "metrics"]


def test_a_client_may_have_two_keys_while_they_are_exchanged() -> None:
    """Old and new, a line each; then the new one alone."""
    keyring = a_keyring(batch=BATCH + b"\n" + LABELS + b"\n")
    old, new = (hashlib.sha256(key).digest() for key in (BATCH, LABELS))
    assert (keyring.client_of(old), keyring.client_of(new)) == ("batch", "batch")
    keyring.take({"batch": LABELS})
    assert (keyring.client_of(old), keyring.client_of(new)) == (None, "batch")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        pytest.param({}, "it must hold a key for each client", id="nothing"),
        pytest.param({"batch": b" \n"}, "batch: is empty", id="an empty key"),
        pytest.param({"batch": b"short"}, "batch: a key has 16 to 512 characters", id="a short key"),
        pytest.param({"batch": "schlüsselschlüssel".encode()}, "printable ASCII", id="other letters"),
        pytest.param({"batch": b"sha256:abc"}, "64 hex digits", id="no hash"),
        pytest.param({"a": BATCH, "b": BATCH}, "a: holds a key that another client has too", id="a key of two"),
    ],
)
def test_keys_that_are_of_no_use_are_told_by_their_client(files: dict[str, bytes], says: str) -> None:
    """Never by what they are; none of them opens anything."""
    keyring = ClientKeyring()
    with pytest.raises(Unusable, match=says) as told:
        keyring.take(files)
    for content in files.values():
        assert not content.strip() or content.decode() not in str(told.value)
        assert keyring.client_of(hashlib.sha256(content).digest()) is None
    assert keyring.client_of(bytes(32)) is None


def test_one_bad_key_keeps_nobody_else_out(caplog: pytest.LogCaptureFixture) -> None:
    """It is left out, by its client's name."""
    keyring = a_keyring(batch=BATCH, labels=b"short")
    assert keyring.client_of(hashlib.sha256(BATCH).digest()) == "batch"
    assert keyring.client_of(hashlib.sha256(b"short").digest()) is None
    assert "labels: a key has 16" in caplog.text
    assert "short" not in caplog.text.replace("labels: ", "")
