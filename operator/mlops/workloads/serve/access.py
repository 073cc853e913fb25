"""What a stage says of who may ask, made of the Secrets that are mounted for its server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mlops.api.pod_environment import ServerSettings
from mlops.api.reasons import Reason
from mlops.api.serving_task import ServeTask
from mlops.workloads.floor.pod import PassingFault
from mlops.workloads.serve.auth import RequestGuard
from mlops.workloads.serve.client_keys import ClientKeyring
from mlops.workloads.serve.mounted_files import Files, MountedFiles, Unusable
from mlops.workloads.serve.tls import Certificate, certificate


@dataclass(frozen=True)
class ServerAccess:
    """The guard of a server's addresses and its certificate, as far as its stage has them, and their files."""

    guard: RequestGuard | None = None
    certificate: Certificate | None = None
    mounted: tuple[MountedFiles, ...] = ()


def access_of(task: ServeTask, settings: ServerSettings) -> ServerAccess:
    """Return what is asked of requests. Raises PassingFault for a Secret that is not there or of no use: the next start
    sees what it holds then."""
    mounted: list[MountedFiles] = []
    guard, shown = None, None
    if (auth := task.auth) is not None:
        keyring, tokens = None, None
        if auth.api_keys is not None:
            keyring = ClientKeyring()
            files = MountedFiles("api-keys", Path(settings.api_keys), _without_place(keyring.take))
            mounted.append(_first_read(files, task, auth.api_keys.secret_ref.name, "auth.apiKeys.secretRef"))
        if auth.jwt is not None:
            # PyJWT and its cryptography take some megabytes: a server that knows no tokens imports neither.
            from mlops.workloads.serve.tokens import TokenVerifier

            tokens = TokenVerifier(auth.jwt)
            files = MountedFiles("jwks", Path(settings.jwks), _without_place(tokens.take))
            mounted.append(_first_read(files, task, auth.jwt.jwks_secret_ref.name, "auth.jwt.jwksSecretRef"))
        guard = RequestGuard(auth, keyring, tokens)
    if task.tls is not None:
        shown = certificate()
        files = MountedFiles("tls", Path(settings.tls), shown.take)
        mounted.append(_first_read(files, task, task.tls.secret_ref.name, "tls.secretRef"))
    return ServerAccess(guard, shown, tuple(mounted))


def _without_place(take: Callable[[Files], None]) -> Callable[[Files, Path], None]:
    return lambda files, _: take(files)


def _first_read(files: MountedFiles, task: ServeTask, secret: str, field: str) -> MountedFiles:
    try:
        files.read()
    except Unusable as error:
        raise PassingFault(
            Reason.CREDENTIALS_MISSING,
            f'Secret "{secret}" in namespace "{task.namespace}", which {field} of stage {task.stage} names, is not '
            f"there or of no use: {error}",
        ) from error
    return files
