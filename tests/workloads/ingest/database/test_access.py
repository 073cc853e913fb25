"""Where a database may be, and what of a Secret counts."""

from __future__ import annotations

import ipaddress
import ssl
from typing import Any

import pytest

from mlops.api.sql_source import SECRET_KEYS, SqlSource
from mlops.workloads.floor.pod import BadInput, PassingFault
from mlops.workloads.ingest.database.access import Access, access_of
from mlops.workloads.ingest.database.address import judged, may_be_a_database
from tests.servers.databases import PASSWORD

GIVEN = {"host": "db", "user": "reader", "password": PASSWORD, "database": "shop"}
LOCAL = {"MLOPS_BUCKETS": "file:///buckets"}


def of(keys: dict[str, str], engine: str = "postgresql") -> Access:
    source = SqlSource.model_validate({"engine": engine, "secretRef": {"name": "warehouse"}, "query": "SELECT 1"})
    return access_of(source, "shop", {f"SOURCE_{key}": value for key, value in keys.items()})


def test_what_is_left_out_has_a_safe_default() -> None:
    access = of(GIVEN)
    assert (access.port, access.tls) == (5432, "verify-full")
    context = access.context()
    assert context is not None
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert of(GIVEN, "mariadb").port == 3306


def test_the_other_names_of_keys_count_too() -> None:
    """As CloudNativePG and service bindings write them; what is beside them is left alone."""
    keys = {
        "host": "db",
        "username": "reader",
        "password": PASSWORD,
        "dbname": "shop",
        "jdbc-uri": "jdbc:x",
        "type": "y",
    }
    assert of(keys) == of(GIVEN)


def test_a_uri_is_read_with_what_is_escaped_in_it() -> None:
    uri = "postgresql://re%40der:p%2Fw%3F@[fd00::1]:6543/sh%20op?sslmode=require"
    access = of({"uri": uri, "host": "other", "password": "other"})
    assert (access.host, access.port, access.user) == ("fd00::1", 6543, "re@der")
    assert (access.password, access.database, access.tls) == ("p/w?", "sh op", "require")


def test_a_line_break_of_a_file_is_no_part_of_a_password() -> None:
    assert of(GIVEN | {"password": f" {PASSWORD} \r\n"}).password == f" {PASSWORD} "


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"uri": f"postgresql://reader:{PASSWORD}@db:port/shop"}, id="port"),
        pytest.param({"uri": f"postgresql://reader:{PASSWORD}@[db/shop"}, id="brackets"),
        pytest.param({"uri": f"mysql://reader:{PASSWORD}@db/shop"}, id="scheme"),
        pytest.param({"uri": f"postgresql://reader:{PASSWORD}@db/shop?options=-c%20x&{PASSWORD}=1"}, id="settings"),
        pytest.param({"uri": f"postgresql://reader:{PASSWORD}@/shop"}, id="no host"),
        pytest.param({"sslmode": PASSWORD}, id="sslmode"),
        pytest.param({"port": PASSWORD}, id="port of a key"),
        pytest.param({"host": f"{PASSWORD}@db"}, id="host"),
        pytest.param({"ca": PASSWORD}, id="ca"),
    ],
)
def test_what_cannot_be_used_is_told_without_its_value(changes: dict[str, str]) -> None:
    with pytest.raises(PassingFault) as caught:
        of(GIVEN | changes)
    assert caught.value.reason == "CredentialsMissing"
    assert 'Secret "warehouse" in namespace "shop"' in caught.value.message
    assert PASSWORD not in caught.value.message


def test_nothing_shows_a_secret() -> None:
    access = of(GIVEN)
    assert PASSWORD not in repr(access)
    assert PASSWORD not in access.where
    assert access.harmless(f"said {PASSWORD} aloud") == "said *** aloud"


def test_every_documented_key_is_read() -> None:
    assert set(SECRET_KEYS) == {"uri", "host", "port", "user", "password", "database", "sslmode", "ca"}


ALLOWED = ["10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "8.8.8.8", "fd12::1", "2a00::1", "::ffff:10.0.0.1"]
REFUSED = [
    "127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "::", "169.254.169.254", "169.254.1.1", "fe80::1", "fe80::1%eth0",
    "168.63.129.16", "192.0.0.192", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254", "224.0.0.1", "255.255.255.255",
    "ff02::1", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "::ffff:169.254.169.254", "::ffff:127.0.0.1",
    "::ffff:100.100.100.200", "240.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("address", ALLOWED)
def test_a_private_address_may_be_a_databases(address: str) -> None:
    assert may_be_a_database(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", REFUSED)
def test_no_database_is_at_the_pods_own_or_at_a_clouds_address(address: str) -> None:
    assert not may_be_a_database(ipaddress.ip_address(address))
    with pytest.raises(BadInput, match="where no database may be") as caught:
        judged(of(GIVEN), {}, lambda *_: ["10.0.0.1", address])
    assert caught.value.reason == "AddressForbidden"


@pytest.mark.parametrize(
    ("environ", "address", "reached"),
    [
        pytest.param({}, "127.0.0.1", False, id="in a cluster"),
        pytest.param(LOCAL, "127.0.0.1", True, id="in mlops run"),
        pytest.param(LOCAL, "::ffff:127.0.0.1", True, id="in mlops run, mapped"),
        pytest.param(LOCAL, "169.254.169.254", False, id="metadata in mlops run"),
        pytest.param({"MLOPS_HTTP_ALLOWED_NETWORKS": "127.0.0.0/8"}, "127.0.0.1", True, id="allowed"),
    ],
)
def test_this_machine_is_reached_where_that_is_allowed(environ: dict[str, str], address: str, reached: bool) -> None:
    def resolver(*_: Any) -> list[str]:
        return [address]

    if reached:
        assert [ipaddress.ip_address(one) for one in judged(of(GIVEN), environ, resolver)] == [
            ipaddress.ip_address(address)
        ]
    else:
        with pytest.raises(BadInput, match="allows more"):
            judged(of(GIVEN), environ, resolver)
