"""The command line and the files of every component. Pure: from a cluster and its places to text.

Files are JSON, which every one of the programs reads as YAML.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hack.cluster.layout import Cluster, Places

PAUSE_IMAGE = "localhost/mlops-cluster-pause:1"
CLUSTER_DOMAIN = "cluster.local"
EVICTION_SIGNALS = ("memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available")


@dataclass(frozen=True)
class Component:
    """One process: its arguments, the files it reads (by name in the config folder), and where it runs."""

    name: str
    program: str
    arguments: Sequence[str]
    files: Mapping[str, str] = field(default_factory=dict)
    mounts: bool = False  # in the mount namespace of the node


def flags(options: Mapping[str, object]) -> list[str]:
    return [f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in options.items()]


def dump(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"


def etcd(cluster: Cluster, places: Places) -> Component:
    peer = f"http://127.0.0.1:{cluster.peer_port}"
    options = {
        "data-dir": places.data / "etcd",
        "listen-client-urls": cluster.etcd_url,
        "advertise-client-urls": cluster.etcd_url,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
        "unsafe-no-fsync": True,  # the data lives as long as the cluster: what a power cut loses nobody wants
        "log-level": "warn",
    }
    return Component("etcd", "etcd", flags(options))


def apiserver(cluster: Cluster, places: Places) -> Component:
    pki = places.pki
    options: dict[str, object] = {
        "etcd-servers": cluster.etcd_url,
        "bind-address": cluster.address if not cluster.node else "0.0.0.0",
        "advertise-address": cluster.address,
        "secure-port": cluster.api_port,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "client-ca-file": pki / "ca.crt",
        "tls-cert-file": pki / "apiserver.crt",
        "tls-private-key-file": pki / "apiserver.key",
        "service-account-issuer": f"https://kubernetes.default.svc.{CLUSTER_DOMAIN}",
        "service-account-key-file": pki / "service-accounts.pub",
        "service-account-signing-key-file": pki / "service-accounts.key",
        "service-cluster-ip-range": cluster.services,
        "allow-privileged": True,
        "profiling": False,
    }
    if cluster.node:
        options |= {
            "kubelet-preferred-address-types": "InternalIP",
            "kubelet-certificate-authority": pki / "ca.crt",
            "kubelet-client-certificate": pki / "apiserver-kubelet.crt",
            "kubelet-client-key": pki / "apiserver-kubelet.key",
        }
    else:
        # It refuses to announce a loopback address as the endpoint of the Service `kubernetes`: announce none.
        options |= {"endpoint-reconciler-type": "none"}
        del options["advertise-address"]
    files = {}
    if cluster.audit:
        files["audit-policy.yaml"] = dump(
            {
                "apiVersion": "audit.k8s.io/v1",
                "kind": "Policy",
                "omitStages": ["RequestReceived"],  # one line per request, once its answer is known
                "rules": [{"level": "Metadata"}],
            }
        )
        options |= {
            "audit-policy-file": places.config / "audit-policy.yaml",
            "audit-log-path": places.audit_log,
            "audit-log-mode": "blocking",  # a request that was answered is in the file
            "audit-log-maxsize": 100_000,  # one file: megabytes before a new one is begun
        }
    return Component("kube-apiserver", "kube-apiserver", flags(options), files)


def controller_manager(cluster: Cluster, places: Places) -> Component:
    pki = places.pki
    options = {
        "kubeconfig": places.config / "controller-manager.kubeconfig",
        "leader-elect": False,
        "use-service-account-credentials": True,
        "service-account-private-key-file": pki / "service-accounts.key",
        "root-ca-file": pki / "ca.crt",
        "cluster-signing-cert-file": pki / "ca.crt",
        "cluster-signing-key-file": pki / "ca.key",
        "service-cluster-ip-range": cluster.services,
        # The default of 20 requests/s makes the Job controller the limit of whatever is measured: 3 Jobs/s.
        "kube-api-qps": 2000,
        "kube-api-burst": 4000,
        "concurrent-job-syncs": 20,
        "concurrent-gc-syncs": 20,
        "secure-port": 0,
        "profiling": False,
    }
    return Component("kube-controller-manager", "kube-controller-manager", flags(options))


def scheduler(cluster: Cluster, places: Places) -> Component:
    config = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "clientConnection": {
            "kubeconfig": str(places.config / "scheduler.kubeconfig"),
            "qps": 2000,
            "burst": 4000,
        },
        "enableProfiling": False,
    }
    options = {"config": places.config / "scheduler.yaml", "secure-port": 0}
    return Component("kube-scheduler", "kube-scheduler", flags(options), {"scheduler.yaml": dump(config)})


def containerd(cluster: Cluster, places: Places, plugins: Path) -> Component:
    """`plugins` is the folder of the CNI programs."""
    network = {
        "cniVersion": "0.4.0",
        "name": places.netns,
        "plugins": [
            {
                # A veth per pod and routes: no bridge, so that traffic between pods passes the Service rules without
                # the kernel module br_netfilter.
                "type": "ptp",
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(places.run / "addresses"),
                    "ranges": [[{"subnet": cluster.pods}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            }
        ],
    }
    config = f"""\
version = 2
root = "{places.data}/containerd"
state = "{places.run}/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]

[grpc]
address = "{places.containerd_socket}"

[plugins."io.containerd.internal.v1.opt"]
path = "{places.data}/opt"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
disable_apparmor = true
enable_unprivileged_ports = true
enable_unprivileged_icmp = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{places.config}/cni"

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
Root = "{places.run}/runc"
"""
    files = {"containerd.toml": config, "cni/10-pods.conflist": dump(network)}
    return Component(
        "containerd", "containerd", flags({"config": places.config / "containerd.toml"}), files, mounts=True
    )


def kubelet(cluster: Cluster, places: Places) -> Component:
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": cluster.address,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(places.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(places.pki / "kubelet.crt"),
        "tlsPrivateKeyFile": str(places.pki / "kubelet.key"),
        "containerRuntimeEndpoint": f"unix://{places.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{places.cgroup}",
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "clusterDomain": CLUSTER_DOMAIN,
        "clusterDNS": [cluster.address],
        "resolvConf": str(places.config / "resolv.conf"),
        "podLogsDir": str(places.data / "pods"),
        "volumePluginDir": str(places.data / "volume-plugins"),
        "makeIPTablesUtilChains": False,
        "readOnlyPort": 0,
        "maxPods": 250,
        "serializeImagePulls": False,
        # The disk is the developer's: how full it is says nothing about the cluster.
        "evictionHard": dict.fromkeys(EVICTION_SIGNALS, "0%"),
        "imageGCHighThresholdPercent": 100,
        "syncFrequency": "10s",
        "nodeStatusUpdateFrequency": "2s",
        "kubeAPIQPS": 500,
        "kubeAPIBurst": 1000,
        "eventRecordQPS": 0,
        "logging": {"verbosity": 1},
    }
    options = {
        "config": places.config / "kubelet.yaml",
        "kubeconfig": places.config / "kubelet.kubeconfig",
        "root-dir": places.data / "kubelet",
        "cert-dir": places.run / "kubelet-pki",
        "hostname-override": places.name,
        "node-ip": cluster.address,
    }
    # No server to ask: names outside the cluster are of no use where there is no route out.
    files = {"kubelet.yaml": dump(config), "resolv.conf": f"nameserver {cluster.address}\n"}
    return Component("kubelet", "kubelet", flags(options), files, mounts=True)


def kube_proxy(cluster: Cluster, places: Places) -> Component:
    config = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "bindAddress": cluster.address,
        "clusterCIDR": cluster.pods,
        "hostnameOverride": places.name,
        "clientConnection": {"kubeconfig": str(places.config / "kube-proxy.kubeconfig")},
        # The limits of the kernel's table are the machine's, not ours to set.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "nftables": {"syncPeriod": "10s", "minSyncPeriod": "100ms"},
    }
    options = {"config": places.config / "kube-proxy.yaml"}
    return Component("kube-proxy", "kube-proxy", flags(options), {"kube-proxy.yaml": dump(config)})


def coredns(cluster: Cluster, places: Places) -> Component:
    corefile = f"""\
.:53 {{
    bind {cluster.address}
    errors
    ready {cluster.address}:8181
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa {{
        kubeconfig {places.config}/coredns.kubeconfig
        ttl 1
    }}
}}
"""
    return Component("coredns", "coredns", ["-conf", str(places.config / "Corefile")], {"Corefile": corefile})


def kwok(cluster: Cluster, places: Places, stages: str) -> Component:
    """`stages` is the text of the Stage objects."""
    options = {
        "kubeconfig": places.config / "kwok.kubeconfig",
        "config": places.config / "kwok.yaml",
        "manage-nodes-with-annotation-selector": "kwok.x-k8s.io/node=fake",
        "node-lease-duration-seconds": 40,
        "server-address": "",
    }
    return Component("kwok", "kwok", flags(options), {"kwok.yaml": stages})


def kwok_node(index: int, tainted: bool) -> dict[str, Any]:
    """A fake node with room for everything. Beside a real node it is tainted, so that real pods keep off it."""
    name = f"kwok-{index}"
    room = {"cpu": "1k", "memory": "1Ti", "pods": "10k", "ephemeral-storage": "1Ti"}
    taints = [{"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}] if tainted else []
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"},
            "labels": {"type": "kwok", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
        },
        "spec": {"taints": taints},
        "status": {"allocatable": room, "capacity": room},
    }


def coredns_access() -> list[tuple[str, dict[str, Any]]]:
    """What CoreDNS may read, as (path to create it at, object)."""
    reads = [
        {"apiGroups": [""], "resources": ["namespaces", "pods", "services"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    group, metadata = "rbac.authorization.k8s.io", {"name": "mlops-cluster:coredns"}
    role = {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": reads}
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": metadata["name"]},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "system:coredns"}],
    }
    base = f"/apis/{group}/v1"
    return [(f"{base}/clusterroles", role), (f"{base}/clusterrolebindings", binding)]
