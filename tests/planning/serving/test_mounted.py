"""What a stage says of who may ask its servers, and of their certificate, in what serves it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlops.api.model_version import ModelVersion
from mlops.planning.plan import Key, Plan
from tests.planning.builders import a_version
from tests.planning.serving.test_model_version import a_world, pods, ready
from tests.planning.world import World

AUTH = {
    "apiKeys": {"secretRef": {"name": "rain-clients"}},
    "jwt": {"jwksSecretRef": {"name": "issuer-keys"}, "issuer": "https://issuer.example.com", "audience": "rain"},
    "routes": {"admin": {"clients": ["operations"]}, "metrics": {"access": "Anonymous"}},
}
TLS = {"secretRef": {"name": "rain-tls"}}


def of_stage(number: int = 1, **stage: Any) -> ModelVersion:
    return a_version(number, spec={"promotion": {"stages": [{"name": "production", **stage}]}})


def ports(world: World) -> list[tuple[str, int, str]]:
    """Return the Service's ports: name, number, and the name of the pods' port."""
    found = world.objects[Key("Service", "team", "rain-production")]["spec"]["ports"]
    return [(each["name"], each["port"], each["targetPort"]) for each in found]


def test_secrets_of_a_stage_are_mounted_and_stand_in_no_environment(golden: Callable[[str, Plan], None]) -> None:
    """As files, optional, so that the server says what is missing; probes and the Service follow the certificate."""
    world = World(pods)
    world.put(of_stage(auth=AUTH, tls=TLS))
    for _ in range(2):
        world.carry_out(world.plan("ModelVersion", "rain-v1"))
        world.tick()
    golden("version-access", world.plan("ModelVersion", "rain-v1"))


def test_a_stage_with_a_certificate_says_https() -> None:
    """In its address, once it is live; planning again writes nothing."""
    world = a_world(of_stage(tls=TLS))
    assert ready(world, "rain-v1") == ("True", "Serving")
    assert world.get("ModelVersion", "rain-v1").status.url == "https://rain-production.team.svc"
    assert ports(world) == [("https", 443, "https"), ("http", 80, "http")]
    world.assert_settled()


def test_the_service_keeps_the_port_of_the_version_that_still_answers() -> None:
    """A newer version without a certificate takes over; until then the older one is reached as before."""
    world = a_world(of_stage(tls=TLS))
    world.put(of_stage(2))
    seen = []
    for _ in range(12):
        for name in ("rain-v1", "rain-v2"):
            world.carry_out(world.plan("ModelVersion", name))
        live = [name for name in ("rain-v1", "rain-v2") if world.get("ModelVersion", name).status.stages]
        seen.append((tuple(live), tuple(name for name, _, _ in ports(world))))
        world.tick()
    assert (("rain-v1",), ("http", "https")) in seen
    assert seen[-1] == (("rain-v2",), ("http",))


def test_the_service_keeps_the_port_of_grpc_as_long_as_a_version_speaks_it() -> None:
    """A newer version that speaks HTTP only takes over; until then clients of the older one are answered."""
    world = a_world(of_stage(protocolVersions=["v2", "grpc-v2"]))
    world.put(of_stage(2))
    seen = []
    for _ in range(12):
        for name in ("rain-v1", "rain-v2"):
            world.carry_out(world.plan("ModelVersion", name))
        live = [name for name in ("rain-v1", "rain-v2") if world.get("ModelVersion", name).status.stages]
        seen.append((tuple(live), tuple(name for name, _, _ in ports(world))))
        world.tick()
    assert (("rain-v1",), ("http", "grpc")) in seen
    assert seen[-1] == (("rain-v2",), ("http",))


def test_grpc_goes_over_to_tls_at_a_port_of_its_own() -> None:
    """Pods of before answer without TLS at the old one until one with TLS is ready, as over HTTP."""
    world = a_world(of_stage(protocolVersions=["v2", "grpc-v2"]))
    world.put(of_stage(2, protocolVersions=["v2", "grpc-v2"], tls={"secretRef": {"name": "rain-tls"}}))
    seen = []
    for _ in range(12):
        for name in ("rain-v1", "rain-v2"):
            world.carry_out(world.plan("ModelVersion", name))
        live = [name for name in ("rain-v1", "rain-v2") if world.get("ModelVersion", name).status.stages]
        seen.append((tuple(live), tuple(name for name, _, _ in ports(world))))
        world.tick()
    assert (("rain-v1",), ("https", "http", "grpcs", "grpc")) in seen
    assert seen[-1] == (("rain-v2",), ("https", "http", "grpcs"))
    pod = world.objects[Key("Deployment", "team", "rain-production")]["spec"]["template"]["spec"]
    assert [port["name"] for port in pod["containers"][0]["ports"]] == ["https", "grpcs"]
    assert {"name": "MLOPS_GRPC_PORT", "value": "8081"} in pod["containers"][0]["env"]
    assert world.objects[Key("Service", "team", "rain-production")]["spec"]["ports"][-1] == {
        "name": "grpcs",
        "port": 8443,
        "targetPort": "grpcs",
        "protocol": "TCP",
    }


def test_without_either_nothing_is_added() -> None:
    """Servers of before this release are not replaced by it."""
    world = a_world(a_version())
    container = world.objects[Key("Deployment", "team", "rain-production")]["spec"]["template"]["spec"]["containers"][0]
    assert ports(world) == [("http", 80, "http")]
    assert [each["name"] for each in container["volumeMounts"]] == ["tmp-server", "store-keys"]
    (task,) = (each["value"] for each in container["env"] if each["name"] == "MLOPS_TASK")
    assert not {"auth", "tls"} & set(task.split('"'))
