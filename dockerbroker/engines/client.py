"""docker-py's low-level client, made strict, and the clients of one host."""

import math
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import requests
import urllib3
from attrs import define, field
from docker import APIClient
from docker.errors import DockerException
from docker.tls import TLSConfig
from requests.adapters import HTTPAdapter

from dockerbroker.engines import translation, versions
from dockerbroker.engines.address import CONNECT, DockerAddress
from dockerbroker.errors import BrokerError, EngineError, EngineUnreachable, OutcomeUnknown

#: The longest answer that is read, in bytes.
ANSWER_LIMIT = 4 * 1024 * 1024
_CHUNK = 64 * 1024

T = TypeVar("T")


class _OwnTrust(HTTPAdapter):
    """Makes TLS connections by the host's own context, to which nothing is added."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        # The context verifies already; requests would add the public authorities to it here.
        del args, kwargs

    def build_connection_pool_key_attributes(
        self, request: Any, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {}


class _ByContext(TLSConfig):
    """docker-py's TLS configuration for a context that exists: it always verifies."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(verify=True)
        self._context = context

    def configure_client(self, client: Any) -> None:
        client.verify = True
        client.mount("https://", _OwnTrust(self._context))


class Client(APIClient):
    """An `APIClient` with one deadline for a whole call, that follows no redirect and bounds what it reads.

    `until` is the end of the current call by `time.monotonic`, in seconds.
    """

    #: Set before the constructor asks for the version: proxies and `REQUESTS_CA_BUNDLE` have no say.
    trust_env = property(lambda _self: False, lambda _self, _value: None)
    #: The socket over which the last answer came.
    used: Any = None

    def __init__(self, address: DockerAddress, version: str | None, until: float) -> None:
        self.until = until
        context = address.context()
        super().__init__(
            base_url=address.url,
            version=version,
            timeout=math.ceil(CONNECT),
            tls=_ByContext(context) if context is not None else False,
        )

    def _retrieve_server_version(self) -> str:
        """Return the version to be spoken; docker-py would take the newest, which it may not know."""
        answer = self.version(api_version=False)
        return versions.chosen(answer["ApiVersion"], answer.get("MinAPIVersion"))

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send the request and read the whole answer within the deadline and `ANSWER_LIMIT`."""
        remaining = max(self.until - time.monotonic(), 0.01)
        kwargs.update(timeout=(min(CONNECT, remaining), remaining), stream=True, allow_redirects=False)
        response = super().send(request, **kwargs)
        if response.is_redirect:
            raise requests.TooManyRedirects(f"it answered with a redirect, {response.status_code}")
        content = bytearray()
        raw: urllib3.HTTPResponse = response.raw
        self.used = getattr(raw.connection, "sock", None)
        while chunk := raw.read1(_CHUNK):
            content += chunk
            if len(content) > ANSWER_LIMIT:
                raise requests.RequestException(f"its answer is longer than {ANSWER_LIMIT} bytes")
            if time.monotonic() > self.until:
                raise requests.ReadTimeout("its answer took too long")
        response._content = bytes(content)  # noqa: SLF001 - requests has no public way to bound a body
        response._content_consumed = True  # type: ignore[attr-defined]  # noqa: SLF001
        return response

    def read_archive(self, container_id: str, path: str, silence: float) -> requests.Response:
        """Begin to read what is at the path, as a tar stream; raises what docker-py does.

        It is not bounded: whoever reads it must not keep it. `silence` is how long Docker may pause, in
        seconds. The client serves nothing else afterwards.
        """
        return self._archive("GET", container_id, path, silence)

    def write_archive(self, container_id: str, path: str, chunks: Iterator[bytes], silence: float) -> None:
        """Unpack a tar stream at the path; what the iterator raises ends it, and is raised."""
        self._archive("PUT", container_id, path, silence, chunks).close()

    def _archive(
        self, method: str, container_id: str, path: str, silence: float, data: Any = None
    ) -> requests.Response:
        url = self._url("/containers/{0}/archive", container_id)  # type: ignore[attr-defined]
        # Docker would compress it.
        headers = {"Accept-Encoding": "identity"}
        wanted = requests.Request(method, url, headers=headers, params={"path": path}, data=data)
        request = self.prepare_request(wanted)
        # While a body is sent, the time to connect is what limits each write.
        limits: dict[str, Any] = {"timeout": (silence, silence), "stream": True, "allow_redirects": False}
        response = super().send(request, **limits)
        self._raise_for_status(response)  # type: ignore[attr-defined]
        return response

    def knows_path(self, container_id: str, path: str) -> bool:
        """Whether the container has something at the path (`HEAD /containers/{id}/archive`)."""
        url = self._url("/containers/{0}/archive", container_id)  # type: ignore[attr-defined]
        answer = self.head(url, params={"path": path})
        if answer.status_code == requests.codes.not_found:
            self.inspect_container(container_id)
            return False
        self._raise_for_status(answer)  # type: ignore[attr-defined]
        return True


@define(eq=False)
class Clients:
    """The clients of one host: each serves one call at a time, and is dropped when its connection fails.

    Used by the threads of the host's lane; `deque` makes taking and giving back safe among them.
    """

    address: DockerAddress
    _idle: deque[Client] = field(factory=deque, init=False)
    _version: str | None = field(default=None, init=False)
    _closed: bool = field(default=False, init=False)
    _retired: bool = field(default=False, init=False)

    def ask(self, question: Callable[[Client], T], remaining: float) -> T:
        """Return what the question returns, asked within `remaining` seconds; raises an `EngineError`."""
        client = self._client(time.monotonic() + remaining)
        try:
            answer = question(client)
        except BrokerError as error:
            self._give_back(client, error)
            raise
        except Exception as error:
            ours = translation.translated(str(self.address), error)
            self._give_back(client, ours)
            raise ours from error
        self._give_back(client, None)
        return answer

    def own(self, remaining: float) -> Client:
        """Return a client that the caller closes; raises an `EngineError`."""
        if self._closed:
            raise EngineUnreachable(f"The connections to the Docker host {self.address} are closed.")
        return self._connected(time.monotonic() + remaining)

    def version(self, remaining: float) -> str:
        """Return the version of the API that was negotiated with the engine."""
        return self._version or self.ask(lambda client: client.api_version, remaining)

    def close(self) -> None:
        """Close what is idle, and everything else once it comes back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def retire(self) -> None:
        """Close what is idle and keep no connection any more; calls that have begun come to their end."""
        self._retired = True
        while self._idle:
            self._idle.pop().close()

    def _client(self, until: float) -> Client:
        if self._closed:
            raise EngineUnreachable(f"The connections to the Docker host {self.address} are closed.")
        try:
            client = self._idle.pop()
        except IndexError:
            client = self._connected(until)
        client.until = until
        return client

    def _connected(self, until: float) -> Client:
        try:
            client = Client(self.address, self._version, until)
        except (DockerException, requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise translation.not_connected(str(self.address), error) from error
        except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise translation.not_connected(str(self.address), error) from error
        self._version = client.api_version
        return client

    def _give_back(self, client: Client, error: EngineError | BrokerError | None) -> None:
        if isinstance(error, EngineUnreachable):
            # The engine may have been replaced by one of another version.
            self._version = None
            while self._idle:
                self._idle.pop().close()
        if self._closed or self._retired or isinstance(error, EngineUnreachable | OutcomeUnknown):
            client.close()
        else:
            self._idle.append(client)
