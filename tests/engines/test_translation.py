# ruff: noqa: E501 - texts of Docker
"""What Docker and the way to it say becomes our few errors, with a sentence for a person."""

import ssl

import requests
import urllib3
from docker.errors import APIError
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.engines.translation import malformed, not_run, refusal, translated
from dockerbroker.errors import (
    BadCommand,
    DiskFull,
    EngineError,
    EngineUnreachable,
    HostPortTaken,
    NameTaken,
    NoImage,
    NotRunning,
    NotThere,
    OutcomeUnknown,
)

_DRIVER = "driver failed programming external connectivity on endpoint b-1 (0a1b): "
_SHIM = "failed to create task for container: failed to create shim task: OCI runtime create failed: "

#: Texts of Docker Engine 20.10 to 28, with the status that goes with them.
REFUSALS = [
    (500, _DRIVER + "Bind for 0.0.0.0:20001 failed: port is already allocated", HostPortTaken),
    (500, _DRIVER + "Error starting userland proxy: listen tcp4 0.0.0.0:20001: bind: address already in use", HostPortTaken),
    (500, "failed to set up container networking: " + _DRIVER + "failed to bind host port for 0.0.0.0:20001:172.17.0.2:80/tcp: address already in use", HostPortTaken),
    (500, "failed to set up container networking: " + _DRIVER + "Bind for :::20001 failed: port is already allocated", HostPortTaken),
    (409, 'Conflict. The container name "/b-1" is already in use by container "4f". You have to remove (or rename) that container to be able to reuse that name.', NameTaken),
    (404, "No such image: absent:latest", NoImage),
    (404, "image absent:latest not found", NoImage),
    (404, "No such container: b-1", NotThere),
    (404, "No such exec instance: 4f", NotThere),
    (404, "Could not find the file /x in container b-1", NotThere),
    (409, "Container 4f is not running", NotRunning),
    (409, "container 4f is not running", NotRunning),
    (409, "Container 4f is paused, unpause the container before exec", NotRunning),
    (409, "Container 4f is restarting, wait until the container is running", NotRunning),
    (500, "Container 4f is not running: Exited (0) 1 second ago", NotRunning),
    (400, 'OCI runtime create failed: container_linux.go:380: starting container process caused: exec: "nope": executable file not found in $PATH: unknown', BadCommand),
    (400, _SHIM + 'runc create failed: unable to start container process: exec: "nope": executable file not found in $PATH: unknown', BadCommand),
    (400, _SHIM + 'runc create failed: unable to start container process: error during container init: exec: "/tmp": is a directory: permission denied: unknown', BadCommand),
    (400, _SHIM + 'runc create failed: unable to start container process: exec: "/absent": stat /absent: no such file or directory: unknown', BadCommand),
    (400, "No command specified", BadCommand),
    (400, "no command specified", BadCommand),
    (400, "client version 1.48 is too new. Maximum supported API version is 1.41", EngineUnreachable),
    (400, "client version 1.23 is too old. Minimum supported API version is 1.24", EngineUnreachable),
    (500, "mkdir /var/lib/docker/vfs/dir/4f: no space left on device", DiskFull),
    (500, "OCI runtime create failed: unable to start container process: no space left on device: unknown", DiskFull),
    (400, "invalid reference format", EngineError),
    (409, "removal of container b-1 is already in progress", EngineError),
    (503, "", EngineError),
]  # fmt: skip


class RefusalTests(SynchronousTestCase):
    """Answers with a status that is not 2xx."""

    def test_texts(self) -> None:
        """Docker's texts of all supported versions are told apart (M18)."""
        for status, text, expected in REFUSALS:
            error = refusal("host:2375", status, text)
            self.assertIs(type(error), expected, text)
            self.assertIn("host:2375", error.description)

    @given(st.integers(min_value=400, max_value=599), st.text(max_size=2000))
    def test_any_text(self, status: int, text: str) -> None:
        """Whatever Docker says, the description is one short printable line."""
        error = refusal("host:2375", status, text)
        self.assertTrue(error.description.isprintable())
        self.assertLess(len(error.description), 400)

    def test_exec(self) -> None:
        """An exec that could not be run has a bad command, or a container that does not run."""
        text = 'OCI runtime exec failed: exec failed: exec: "/x": permission denied: unknown'
        self.assertIs(type(not_run("h", text)), BadCommand)
        stopped = "OCI runtime exec failed: exec failed: cannot exec in a stopped container: unknown"
        self.assertIs(type(not_run("h", stopped)), NotRunning)


class TranslationTests(SynchronousTestCase):
    """Exceptions of docker-py and of the connection."""

    def expect(self, error: Exception, expected: type[EngineError], words: str) -> None:
        """Assert what the exception becomes."""
        ours = translated("host:2375", error)
        self.assertIs(type(ours), expected, repr(error))
        self.assertIn(words, ours.description)
        self.assertIn("host:2375", ours.description)

    def test_ours(self) -> None:
        """Our own errors stay what they are."""
        error = NoImage("none")
        self.assertIs(translated("host:2375", error), error)

    def test_refused_by_docker(self) -> None:
        """An error of docker-py is judged by its status and Docker's explanation."""
        response = requests.Response()
        response.status_code = 404
        error = APIError("404 Client Error", response, "No such image: x")
        self.expect(error, NoImage, "No such image: x")

    def test_not_sent(self) -> None:
        """When no connection could be made, the engine has not seen the request."""
        refused = ConnectionRefusedError(111, "Connection refused")
        wrapped = requests.ConnectionError(urllib3.exceptions.ProtocolError("Connection aborted.", refused))
        self.expect(wrapped, EngineUnreachable, "Connection refused")
        missing = FileNotFoundError(2, "No such file or directory")
        wrapped = requests.ConnectionError(urllib3.exceptions.ProtocolError("Connection aborted.", missing))
        self.expect(wrapped, EngineUnreachable, "No such file")
        self.expect(requests.ConnectTimeout("slow"), EngineUnreachable, "in time")
        certificate = ssl.SSLCertVerificationError(1, "failed")
        certificate.verify_message = "certificate has expired"
        self.expect(requests.exceptions.SSLError(certificate), EngineUnreachable, "has expired")

    def test_lost(self) -> None:
        """When a connection breaks after it was made, the request may have been done."""
        reset = ConnectionResetError(104, "Connection reset by peer")
        wrapped = requests.ConnectionError(urllib3.exceptions.ProtocolError("Connection aborted.", reset))
        self.expect(wrapped, OutcomeUnknown, "reset by peer")
        self.expect(requests.ReadTimeout("slow"), OutcomeUnknown, "in time")
        self.expect(urllib3.exceptions.IncompleteRead(3, 5), OutcomeUnknown, "lost")
        self.expect(TimeoutError(), OutcomeUnknown, "in time")

    def test_malformed(self) -> None:
        """An answer that is not what Docker would say leaves the outcome unknown."""
        self.expect(KeyError("Id"), OutcomeUnknown, "KeyError 'Id'")
        self.expect(RecursionError("deep"), OutcomeUnknown, "deep")
        self.expect(requests.JSONDecodeError("bad", "<html>", 0), OutcomeUnknown, "no JSON")
        self.assertIn("reason", malformed("h", "reason").description)
