"""Requests to the API server; every answer that is not a success becomes one of the engine's errors."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import ssl
from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient

from mlops.cluster.connection import Connection, NoConnection
from mlops.cluster.heads import heads_of
from mlops.engine.cluster import Conflict, Ending, Invalid, NotAllowed, ObjectNotFound, Refused, Unavailable
from mlops.planning.plan import Key, Manifest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mlops.cluster.metrics import OperatorMetrics

log = logging.getLogger(__name__)

JSON = "application/json"
# Of each object only its metadata.
METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"

_CONNECT_SECONDS = 5.0
# What is left between the end of a Lease's renewals and the end of the Lease itself.
_ON_ITS_WAY_SECONDS = 5.0
# A server that asks for more patience than this is asked again all the same.
_LONGEST_PAUSE = 300.0
_INVALID = (400, 413, 415, 422)
# Of a quota, an admission webhook and an admission policy, which say what they have against the object and may say
# otherwise tomorrow. A policy answers 422 if its author did not choose. Any other 403 is about ourselves.
_REFUSALS = ("exceeded quota", "denied the request", "denied request")
_NO_WEBHOOK = "failed calling webhook"
_ENDING = "because it is being terminated"


class Client:
    """One pool of connections to the API server."""

    def __init__(self, connection: Connection, metrics: OperatorMetrics, *, seconds: float = 10.0) -> None:
        self._connection, self._metrics = connection, metrics
        self._timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS)
        self._client: ApiClient | None = None
        self._busy = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        # When a request was given up last whose answer had not come.
        self._gave_up = -math.inf
        # As a server asked that has too much to do: not before this timestamp of the loop's clock.
        self._not_before = 0.0

    async def request(
        self,
        key: Key,
        method: str,
        path: str,
        body: Manifest | None = None,
        *,
        content_type: str = JSON,
        query: Mapping[str, str] | None = None,
        accept: str = JSON,
    ) -> Manifest:
        """Return the answer; to `accept=METADATA` a list of name, namespace, uid and resourceVersion of each object.

        Raises Conflict (409), NotFound (404), Ending (403 or 404 for the namespace's sake), Invalid (400, 422), Refused
        (403 or 422 for the sake of what is asked of the object), NotAllowed (any other 403, or a webhook that does not
        answer) or Unavailable; `key` is the object that the error is about.
        """
        left = self._not_before - asyncio.get_running_loop().time()
        if left > 0:
            raise Unavailable(key, f"the API server asked to wait for another {left:.0f} s")
        url = path + (f"?{urlencode(query)}" if query else "")
        async with self._counted():
            status, headers, answer = await self._send(key, method, url, body, content_type, accept)
            if status == 401:
                # The token was rotated, or this is a passing fault of the server: once more with what is there now.
                await self.close()
                status, headers, answer = await self._send(key, method, url, body, content_type, accept)
        if status < 300:
            return answer
        self._metrics.api_error(str(status))
        raise self._error(key, status, headers, answer)

    async def settle(self, seconds: float) -> bool:
        """Wait until no request is under way, at most for `seconds`.

        Returns whether nothing can arrive at the server any more: one that was given up just now can.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._quiet.wait()
        except TimeoutError:
            log.warning("%d requests to the API server are still under way", self._busy)
            return False
        return asyncio.get_running_loop().time() - self._gave_up > _ON_ITS_WAY_SECONDS

    async def close(self) -> None:
        """Close every connection."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()  # type: ignore[no-untyped-call]

    async def _send(
        self, key: Key, method: str, url: str, body: Manifest | None, content_type: str, accept: str
    ) -> tuple[int, Mapping[str, str], Manifest]:
        try:
            client = self._client or ApiClient(await self._connection.load())
            self._client = client
            configuration = client.configuration
            headers = {"Accept": accept, "Content-Type": content_type, "User-Agent": "mlops-operator"}
            if token := await configuration.get_api_key_with_prefix("BearerToken"):
                headers["Authorization"] = token
            response = await client.call_api(
                method, configuration.host + url, header_params=headers, body=body, _request_timeout=self._timeout
            )
            text = await response.read()  # type: ignore[no-untyped-call]
        except NoConnection as error:
            self._metrics.api_error("credentials")
            raise Unavailable(key, str(error)) from error
        except (aiohttp.ClientError, TimeoutError, OSError, ssl.SSLError) as error:
            self._metrics.api_error("connection")
            raise Unavailable(key, f"{method} got no answer: {error or type(error).__name__}") from error
        return response.status, response.headers, self._parsed(key, response.status, text, accept)

    def _parsed(self, key: Key, status: int, text: bytes, accept: str) -> Manifest:
        try:
            answer: Any = heads_of(text) if accept == METADATA and status < 300 else json.loads(text)
        except ValueError:
            answer = None
        if isinstance(answer, dict):
            return answer
        if status < 300:
            self._metrics.api_error("garbled")
            raise Unavailable(key, "the answer is not what the API server sends")
        return {"message": text[:256].decode("utf-8", "replace").strip()}

    def _error(self, key: Key, status: int, headers: Mapping[str, str], answer: Manifest) -> Exception:
        message = f"{status} {answer.get('message') or 'no message'}"
        if status in (403, 404) and (_ENDING in message or _is_of_the_namespace(answer)):
            return Ending(key, message)
        if status == 404:
            return ObjectNotFound(key, message)
        if status == 409:
            return Conflict(key, message)
        if status in (403, 422) and any(said in message for said in _REFUSALS):
            return Refused(key, message)
        if status in _INVALID:
            return Invalid(key, str(answer.get("message") or message))
        if status == 403 or (status >= 500 and _NO_WEBHOOK in message):
            return NotAllowed(key, message)
        if status in (429, 503):
            pause = _seconds(headers.get("Retry-After"))
            self._not_before = asyncio.get_running_loop().time() + min(pause, _LONGEST_PAUSE)
        return Unavailable(key, message)

    @asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        self._busy += 1
        self._quiet.clear()
        try:
            yield
        except (Unavailable, asyncio.CancelledError):
            self._gave_up = asyncio.get_running_loop().time()
            raise
        finally:
            self._busy -= 1
            if self._busy == 0:
                self._quiet.set()


def _is_of_the_namespace(answer: Manifest) -> bool:
    """Return whether a refusal says that the namespace is being deleted, or is gone."""
    details = answer.get("details")
    if not isinstance(details, dict):
        return False
    causes = details.get("causes") or ()
    ending = any(isinstance(cause, dict) and cause.get("reason") == "NamespaceTerminating" for cause in causes)
    return ending or details.get("kind") == "namespaces"


def _seconds(retry_after: str | None) -> float:
    try:
        return max(0.0, float(retry_after or 0))
    except ValueError:
        return 0.0
