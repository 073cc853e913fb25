"""Keys and certificates of a cluster, by the openssl program. They live as long as the cluster does."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

from hack.cluster.errors import ClusterError
from hack.cluster.layout import Cluster, Places

EC_KEY = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")


def openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"openssl {arguments[0]} ended with {done.returncode}: {done.stderr.strip()}")


def make(cluster: Cluster, places: Places) -> None:
    """Everything that the components name: an authority, the servers' and the clients' certificates, a token key."""
    folder = places.pki
    folder.mkdir(parents=True, mode=0o700)
    (folder / "openssl.cnf").write_text(
        "[req]\ndistinguished_name = name\n[name]\n"
    )  # not the machine's: it has defaults
    certificate(folder, "ca", "/CN=mlops-cluster", {"basicConstraints": "critical,CA:true", "keyUsage": "keyCertSign"})
    names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    names.append("kubernetes.default.svc.cluster.local")
    server = serves(names, ["127.0.0.1", cluster.address, cluster.first_service])
    certificate(folder, "apiserver", "/CN=kube-apiserver", server)
    for name, subject in clients(places.name).items():
        # The kubelet's serves as well: the API server fetches logs from it.
        extensions = serves([places.name], [cluster.address]) if name == "kubelet" else {}
        certificate(folder, name, subject, {"extendedKeyUsage": "clientAuth", **extensions})
    openssl(folder, "genpkey", *EC_KEY, "-out", "service-accounts.key")
    openssl(folder, "pkey", "-in", "service-accounts.key", "-pubout", "-out", "service-accounts.pub")


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


def serves(names: list[str], addresses: list[str]) -> dict[str, str]:
    """The extensions of a server's certificate."""
    alternatives = dict.fromkeys([f"DNS:{name}" for name in names] + [f"IP:{address}" for address in addresses])
    return {"extendedKeyUsage": "clientAuth,serverAuth", "subjectAltName": ",".join(alternatives)}


def certificate(folder: Path, name: str, subject: str, extensions: dict[str, str]) -> None:
    """NAME.key and NAME.crt, signed by the cluster's authority, or, if it is the authority's, by itself."""
    signing = [] if name == "ca" else ["-CA", "ca.crt", "-CAkey", "ca.key"]
    # Clients that check strictly (Python 3.13) want the key identifiers.
    wanted = {"subjectKeyIdentifier": "hash", "authorityKeyIdentifier": "keyid:always", **extensions}
    added = [item for key, value in wanted.items() for item in ("-addext", f"{key}={value}")]
    new = ["-config", "openssl.cnf", "-newkey", "ec", *EC_KEY[2:], "-nodes", "-keyout", f"{name}.key"]
    openssl(folder, "req", "-x509", *signing, *new, "-subj", subject, "-days", "3650", *added, "-out", f"{name}.crt")


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
