"""Keys and certificates of a cluster, by the openssl program. They live as long as the cluster does."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

from hack.cluster.errors import ClusterError
from hack.cluster.layout import Cluster, Places



def openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"openssl {arguments[0]} ended with {done.returncode}: {done.stderr.strip()}")


def make(cluster: Cluster, places: Places) -> None:
    """Everything that the components name: an authority, the servers' and the clients' certificates, a token key."""
    folder = places.pki
    folder.mkdir(parents=True, mode=0o700)
    key(folder, "ca")
    key(folder, "service-accounts")
    openssl(folder, "pkey", "-in", "service-accounts.key", "-pubout", "-out", "service-accounts.pub")
    openssl(folder, "req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=mlops-cluster", "-days", "3650", "-out", "ca.crt")
    names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    names.append("kubernetes.default.svc.cluster.local")
    certificate(folder, "apiserver", "/CN=kube-apiserver", names, ["127.0.0.1", cluster.address, cluster.first_service])
    for name, subject in clients(places.name).items():
        # The kubelet's serves as well: the API server fetches logs from it.
        alternatives = ([places.name], [cluster.address]) if name == "kubelet" else ((), ())
        certificate(folder, name, subject, *map(list, alternatives))


def clients(node: str) -> dict[str, str]:
    """Who calls the API server: component -> subject (CN the user, O the group)."""
    return {
        "admin": "/O=system:masters/CN=admin",
        "apiserver-kubelet": "/O=system:masters/CN=kube-apiserver-kubelet-client",
        "controller-manager": "/CN=system:kube-controller-manager",
        "scheduler": "/CN=system:kube-scheduler",
        "kube-proxy": "/CN=system:kube-proxy",
        "coredns": "/CN=system:coredns",
        "kubelet": f"/O=system:nodes/CN=system:node:{node}",
        "kwok": "/O=system:masters/CN=kwok",
    }


def key(folder: Path, name: str) -> None:
    openssl(folder, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{name}.key")
    (folder / f"{name}.key").chmod(0o600)


def certificate(folder: Path, name: str, subject: str, names: list[str], addresses: list[str]) -> None:
    """NAME.key and NAME.crt, signed by the cluster's authority; with names or addresses it is a server's as well."""
    alternatives = [f"DNS:{item}" for item in names] + [f"IP:{item}" for item in addresses]
    lines = ["keyUsage=critical,digitalSignature", "extendedKeyUsage=clientAuth" + (",serverAuth" if alternatives else "")]
    if alternatives:
        lines.append("subjectAltName=" + ",".join(dict.fromkeys(alternatives)))
    (folder / f"{name}.ext").write_text("\n".join(lines) + "\n")
    key(folder, name)
    openssl(folder, "req", "-new", "-key", f"{name}.key", "-subj", subject, "-out", f"{name}.csr")
    signing = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "3650", "-extfile", f"{name}.ext"]
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signing, "-out", f"{name}.crt")


def kubeconfig(cluster: Cluster, pki: Path, client: str) -> str:
    """A kubeconfig (JSON, which is YAML) with the keys in it, so that it can be copied to wherever it is needed."""

    def inline(file: str) -> str:
        return base64.b64encode((pki / file).read_bytes()).decode()

    user = {"client-certificate-data": inline(f"{client}.crt"), "client-key-data": inline(f"{client}.key")}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "mlops-cluster",
                    "cluster": {"server": cluster.api_url, "certificate-authority-data": inline("ca.crt")},
                }
            ],
            "users": [{"name": client, "user": user}],
            "contexts": [{"name": "mlops-cluster", "context": {"cluster": "mlops-cluster", "user": client}}],
            "current-context": "mlops-cluster",
        },
        indent=2,
    )
