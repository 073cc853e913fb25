"""The parts of the one-machine cluster that touch nothing: names, addresses, files, what is read from the kernel."""

from __future__ import annotations

import io
import json
import tarfile
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from hack.cluster import api, cgroups, components, images, network, processes
from hack.cluster.components import Component
from hack.cluster.errors import ClusterError
from hack.cluster.layout import Cluster, Places, cluster_loads, free_octet, places

WITH_NODE = Cluster(octet=77, api_port=6443, etcd_port=2379, peer_port=2380)
WITHOUT = Cluster(octet=0, api_port=1001, etcd_port=1002, peer_port=1003, kwok=3)
PLACES = Places("dev", Path("/run/mlops-cluster/dev"), Path("/var/lib/mlops-cluster/dev"))


def options(component: Component) -> dict[str, str]:
    return dict(argument.removeprefix("--").split("=", 1) for argument in component.arguments)


def config(component: Component, name: str) -> Any:
    return json.loads(component.files[name])


@pytest.mark.parametrize("name", ["Dev", "a_b", "-a", "a-", "", "thirteen-long", "a/b"])
def test_a_name_that_would_make_a_bad_interface_or_path_is_refused(name: str) -> None:
    """The name becomes a part of an interface, a namespace, a cgroup and folders that `down` removes."""
    with pytest.raises(ClusterError, match="lower-case") as refused:
        places(name, root=True, environ={})
    assert refused.value.exit_code == 2


def test_two_names_share_nothing() -> None:
    """`down` of one cluster must not touch the other."""
    one, other = (places(name, root=True, environ={}) for name in ("a", "a-b"))
    for attribute in ("run", "data", "netns", "link", "cgroup", "kubeconfig", "marker"):
        assert getattr(one, attribute) != getattr(other, attribute)
    inside_other = f"30 25 0:26 / {other.run}/namespaces rw - tmpfs tmpfs rw\n"
    assert network.mounts_below(inside_other, one.run, one.data) == []


def test_a_cluster_without_a_node_is_its_users_own() -> None:
    """Nobody needs root for it, and two users never meet."""
    found = places("dev", root=False, environ={"XDG_RUNTIME_DIR": "/run/user/7", "XDG_STATE_HOME": "/home/u/state"})
    assert found.run == Path("/run/user/7/mlops-cluster/dev")
    assert found.data == Path("/home/u/state/mlops-cluster/dev")


def test_a_network_in_use_is_left_alone() -> None:
    """A company's VPN, or another cluster, may have 10.77.0.0/16: the next one is taken."""
    routes = [
        {"dst": "default", "gateway": "10.0.0.1"},
        {"dst": "10.77.3.0/24", "dev": "tun0"},
        {"type": "local", "dst": "10.78.0.1", "dev": "mc-other"},
        {"dst": "192.168.0.0/16", "dev": "eth0"},
    ]
    assert free_octet(network.networks_of(json.dumps(routes))) == 79
    with pytest.raises(ClusterError, match="ip route"):
        free_octet([IPv4Network("10.0.0.0/8")])


def test_everything_of_a_cluster_is_in_its_one_block() -> None:
    """So that one free block is all that has to be found."""
    block = WITH_NODE.block
    assert all(IPv4Network(part).subnet_of(block) for part in (WITH_NODE.pods, WITH_NODE.services))
    assert not IPv4Network(WITH_NODE.pods).overlaps(IPv4Network(WITH_NODE.services))
    assert WITH_NODE.first_service == "10.77.128.1"


def test_what_up_wrote_down_is_read_back() -> None:
    """A second `up` compares what runs with what is asked."""
    assert cluster_loads(WITHOUT.dumps()) == WITHOUT


def test_the_api_server_enforces_what_every_real_one_does() -> None:
    """Pod Security and service accounts are on by default: nothing may be switched off."""
    flags = options(components.apiserver(WITH_NODE, PLACES))
    assert flags["authorization-mode"] == "Node,RBAC"
    assert "disable-admission-plugins" not in flags
    assert "anonymous-auth" not in flags
    assert "audit-log-path" not in flags


def test_the_audit_log_holds_every_request_once_and_whole() -> None:
    """RBAC verbs are counted from it: a rotated or sampled log would count too few."""
    audited = components.apiserver(Cluster(77, 6443, 2379, 2380, audit=True), PLACES)
    assert options(audited)["audit-log-path"] == str(PLACES.audit_log)
    policy = config(audited, "audit-policy.yaml")
    assert policy["rules"] == [{"level": "Metadata"}]
    assert policy["omitStages"] == ["RequestReceived"]


def test_without_a_node_only_this_machine_is_served() -> None:
    """No network of its own: then nobody else's may reach it."""
    assert options(components.apiserver(WITHOUT, PLACES))["bind-address"] == "127.0.0.1"
    assert options(components.etcd(WITHOUT, PLACES))["listen-client-urls"] == "http://127.0.0.1:1002"


def test_the_kubelet_keeps_to_its_own_folders_and_never_evicts() -> None:
    """A developer's full disk must not fail the tests, and the host's own kubelet must not be touched."""
    kubelet = components.kubelet(WITH_NODE, PLACES)
    content = config(kubelet, "kubelet.yaml")
    assert set(content["evictionHard"].values()) == {"0%"}
    assert content["imageGCHighThresholdPercent"] == 100
    assert content["cgroupRoot"] == "/mlops-cluster-dev"
    for path in (content["podLogsDir"], content["volumePluginDir"], options(kubelet)["root-dir"]):
        assert Path(path).is_relative_to(PLACES.data)


def test_containerd_keeps_to_its_own_folders() -> None:
    """The machine's containerd, if it has one, goes on undisturbed."""
    text = components.containerd(WITH_NODE, PLACES, Path("/usr/lib/cni")).files["containerd.toml"]
    paths = [line.split(" = ")[1].strip('"') for line in text.splitlines() if ' = "/' in line]
    owned = [Path(path) for path in paths if path != "/usr/lib/cni"]
    assert len(owned) >= 6
    assert all(path.is_relative_to(PLACES.run) or path.is_relative_to(PLACES.data) for path in owned)


@pytest.mark.parametrize("tainted", [True, False])
def test_fake_nodes_keep_real_pods_off_only_beside_a_real_node(tainted: bool) -> None:
    """Without a real node a pod needs no toleration to get somewhere."""
    node = components.kwok_node(0, tainted)
    assert node["metadata"]["annotations"]["kwok.x-k8s.io/node"] == "fake"
    assert bool(node["spec"]["taints"]) is tainted


VERSION_1 = """\
25 30 0:23 / /sys/fs/cgroup rw - tmpfs tmpfs rw
31 25 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
32 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
33 25 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
VERSION_2 = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


@pytest.mark.parametrize(
    ("mountinfo", "version"),
    [
        pytest.param(VERSION_1, "1", id="hybrid: version 2 is mounted, and has no memory controller"),
        pytest.param(VERSION_2, "2", id="version 2"),
        pytest.param("22 27 0:21 / /proc rw - proc proc rw\n", "none", id="no cgroups"),
    ],
)
def test_the_version_of_cgroups_is_told_by_who_has_the_memory_controller(mountinfo: str, version: str) -> None:
    """A hybrid machine mounts both."""
    assert cgroups.version(mountinfo) == version


def test_mounts_are_undone_in_the_reverse_order() -> None:
    """A mount below another must go first; a space in a path is written as an octal number."""
    lines = "1 0 0:1 / /run/x rw - t t rw\n2 1 0:1 / /run/x/a\\040b rw - t t rw\n3 0 0:1 / /run/xy rw - t t rw\n"
    assert network.mounts_below(lines, Path("/run/x")) == ["/run/x/a b", "/run/x"]


def test_a_process_is_known_by_its_start_and_not_by_its_id_alone(tmp_path: Path) -> None:
    """An id is given to somebody else's process some day: that one must not be ended."""
    own = processes.running_process(1, "init")
    assert own is not None
    assert own.alive()
    assert not processes.Process("other", own.pid, own.started + 1, own.boot).alive()
    assert not processes.Process("before the reboot", own.pid, own.started, "another-boot").alive()


def test_a_name_with_brackets_does_not_mislead() -> None:
    """A program may call itself `) R 1`."""
    after = " ".join(["S", *(str(number) for number in range(4, 53))])
    assert processes.parse_stat(f"12 (a) R 7) {after}") == ("S", 22)


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("probe:1", "docker.io/library/probe:1"),
        ("probe", "docker.io/library/probe:latest"),
        ("me/probe:1", "docker.io/me/probe:1"),
        ("example.com/own-trainer:1", "example.com/own-trainer:1"),
        ("localhost/probe:1", "localhost/probe:1"),
        ("localhost:5000/probe", "localhost:5000/probe:latest"),
    ],
)
def test_an_image_gets_the_name_that_the_kubelet_looks_for(short: str, full: str) -> None:
    """Else the pod would try to pull what is there."""
    assert images.full_reference(short) == full


def test_an_archive_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    """And says what is in it."""
    written = [tmp_path / "a.tar", tmp_path / "b.tar"]
    for path in written:
        images.archive(path, "probe:1", {"probe": b"program"}, ["/probe"])
    assert written[0].read_bytes() == written[1].read_bytes()
    assert images.names_in(written[0]) == {"docker.io/library/probe:1": ""}


def oci_archive(path: Path, annotations: dict[str, str]) -> Path:
    index = json.dumps({"manifests": [{"digest": "sha256:0", "annotations": annotations}]}).encode()
    with tarfile.open(path, "w") as packed:
        entry = tarfile.TarInfo("index.json")
        entry.size = len(index)
        packed.addfile(entry, io.BytesIO(index))
    return path


@pytest.mark.parametrize("note", [images.IMAGE_NAME, images.REFERENCE_NAME])
def test_an_oci_archive_is_named_by_its_annotation(tmp_path: Path, note: str) -> None:
    """docker writes one, buildah the other."""
    path = oci_archive(tmp_path / "a.tar", {note: "probe:1"})
    assert images.names_in(path) == {"docker.io/library/probe:1": "sha256:0"}


def test_what_is_no_image_archive_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """The user sees which file, and how to write a good one."""
    (tmp_path / "text").write_text("no archive")
    nameless = oci_archive(tmp_path / "nameless.tar", {images.REFERENCE_NAME: "latest"})
    for path, words in (
        (tmp_path / "text", "no image archive"),
        (nameless, "docker save"),
        (tmp_path / "x", "no such"),
    ):
        with pytest.raises(ClusterError, match=words) as refused:
            images.names_in(path)
        assert refused.value.exit_code == 2


def test_a_dns_answer_counts_only_if_it_answers_the_question() -> None:
    """An error, another's answer and an empty one are none."""
    question = api.dns_query("kubernetes.default.svc.cluster.local", 7)
    assert question[12:24] == b"\nkubernetes\x07"
    found = bytes([0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]) + question[12:] + b"\0" * 12 + bytes([10, 77, 128, 1])
    assert api.dns_address(found, 7) == "10.77.128.1"
    assert api.dns_address(found, 8) is None
    assert api.dns_address(question, 7) is None
    refused = bytes([0, 7, 0x81, 0x83]) + found[4:]
    assert api.dns_address(refused, 7) is None


def test_version_2_hands_every_controller_down_to_the_clusters_cgroup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kubelet demands them of its root; a child has only what its parents name."""
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(f"29 23 0:26 / {tmp_path} rw - cgroup2 cgroup2 rw\n")
    monkeypatch.setattr(cgroups, "MOUNTS", mountinfo)
    asked: list[tuple[Path, list[str]]] = []
    monkeypatch.setattr(cgroups, "hand_down", lambda folder, controllers: asked.append((folder, controllers)))
    cgroups.make(PLACES)
    wanted = ["cpuset", "cpu", "io", "memory", "pids"]
    assert asked == [(tmp_path, wanted), (tmp_path / "mlops-cluster-dev", wanted)]
    cgroups.remove(PLACES)
    assert not (tmp_path / "mlops-cluster-dev").exists()
