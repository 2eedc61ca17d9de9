"""The two plugins of twistd: their options, what they refuse, and how they are wired."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, redirect_stdout
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import SkipTest

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from twisted.application.service import IService, IServiceMaker
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker import agent_tap, broker_tap
from dockerbroker.config import load_agent, load_broker
from dockerbroker.lifetime import ProgramOptions
from dockerbroker.lifetime.hardening import ALLOW_ROOT
from tests.configurations import agent_document, broker_document, written
from tests.polling import PATIENCE
from tests.ports import free_port
from tests.programs import ROOT, environment

_MAKE_SERVICE = """
import resource, sys, time
from dockerbroker import {tap}

options = {tap}.Options()
options.parseOptions(["--config", sys.argv[1]])
{tap}.makeService(options)
from twisted.internet import reactor
print(reactor.seconds is time.monotonic, *resource.getrlimit(resource.RLIMIT_CORE))
"""


def pem_key(key: ec.EllipticCurvePrivateKey, encryption: KeySerializationEncryption | None = None) -> bytes:
    """Return the key as PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def pem_certificate(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a certificate of the key as PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


class _Taps(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def refusal(self, call: Callable[[], object]) -> str:
        """Return the sentence with which a call leaves; nothing may have been printed before."""
        printed = StringIO()
        with redirect_stdout(printed):
            leaving = self.assertRaises(SystemExit, call)
        self.assertEqual(printed.getvalue(), "")
        sentence = leaving.code
        assert isinstance(sentence, str)
        self.assertEqual(len(sentence.splitlines()), 1)
        return sentence

    def assert_refuses_root(self, call: Callable[[], object]) -> None:
        """Assert that the program does not run as root by itself (S66)."""
        if os.geteuid() != 0:
            raise SkipTest("is root's")
        allowed = os.environ.pop(ALLOW_ROOT, None)
        try:
            sentence = self.refusal(call)
        finally:
            if allowed is not None:
                os.environ[ALLOW_ROOT] = allowed
        self.assertIn("runs as root", sentence)

    def assert_monotonic(self, tap: str, config: Path) -> None:
        """Assert that `makeService` sets the clock of the reactor, in a process that ends with it.

        Nor does the program dump a core from then on (S58).
        """
        ended = subprocess.run(
            [sys.executable, "-c", _MAKE_SERVICE.format(tap=tap), str(config)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env=environment(sys.path),
        )
        self.assertEqual((ended.stdout, ended.returncode), ("True 0 0\n", 0), ended.stderr)

    def parsed(self, options: ProgramOptions, *words: str) -> Any:
        """Return the options after they were read."""
        options.parseOptions(list(words))
        return options


class OptionsTests(_Taps):
    """The options."""

    def test_refusals(self) -> None:
        """A wrong option is one sentence that names the program and the option."""
        for make in (broker_tap.Options, agent_tap.Options):
            for words, expected in (
                ([], "the option --config FILE is missing"),
                (["--nonsense"], "option --nonsense not recognized"),
                (["--config"], "option --config requires argument"),
                (["--config", "x", "more"], "Wrong number of arguments"),
            ):
                options = make()
                said = self.refusal(lambda options=options, words=words: options.parseOptions(words))  # type: ignore[misc]
                self.assertTrue(said.startswith(f"{options.program}: "), said)
                self.assertIn(expected, said)

    def test_version(self) -> None:
        """The version is printed with the program's name, and that is success."""
        printed = StringIO()
        with redirect_stdout(printed):
            leaving = self.assertRaises(SystemExit, broker_tap.Options().parseOptions, ["--version"])
        self.assertEqual(leaving.code, 0)
        self.assertTrue(printed.getvalue().startswith("dockerbroker "))
        self.assertNotIn("Twisted", printed.getvalue())

    def test_config(self) -> None:
        """The configuration is named by a long or a short option."""
        for words in (["--config", "x"], ["--config=x"], ["-c", "x"]):
            self.assertEqual(self.parsed(broker_tap.Options(), *words)["config"], "x")

    def test_plugins(self) -> None:
        """Twisted finds both programs, under the names that they call themselves."""
        makers = {maker.tapname: maker for maker in getPlugins(IServiceMaker)}
        for tap in (broker_tap, agent_tap):
            self.assertEqual(makers[tap.PROGRAM].options, tap.Options)


class BrokerTests(_Taps):
    """The broker."""

    def test_wrong_configuration(self) -> None:
        """A wrong file is one sentence with its path and its complaints."""
        path = written(self.folder, {"port": "x"})
        said = self._refusal(path)
        self.assertIn(f"dockerbroker: {path}: ", said)
        self.assertIn("port: must be a whole number", said)

    def test_root(self) -> None:
        """The broker does not run as root unless its environment says so."""
        options = self.parsed(broker_tap.Options(), "--config", "/absent")
        self.assert_refuses_root(lambda: broker_tap.makeService(options))

    def test_old_configuration(self) -> None:
        """One that says nothing of encryption is a sentence with what to add, and no database is made."""
        said = self._refusal(written(self.folder, broker_document() | {"port": free_port()}))
        self.assertIn("over plain HTTP", said)
        self.assertIn('"plainhttp": true', said)
        self.assertEqual([file.name for file in self.folder.iterdir()], ["test.config"])

    def test_certificate(self) -> None:
        """Files of a certificate that are absent are a sentence, or are made if that is asked for."""
        document = broker_document() | {"listenIP": "127.0.0.1", "port": free_port()}
        tls = {"certificate": "c.pem", "privatekey": "k.pem"}
        self.assertIn("tls.certificate: ", self._refusal(written(self.folder, document | {"tls": tls})))
        document["persister"]["database"] = "no/such/folder/broker.db"
        path = written(self.folder, document | {"tls": tls | {"selfsigned": True}})
        self.assertIn("persister.database: ", self._refusal(path))
        self.assertTrue((self.folder / "k.pem").exists())

    def test_taken_port(self) -> None:
        """A port that another program has is one sentence, and no database is made."""
        with closing(socket.socket()) as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen(1)
            port = taken.getsockname()[1]
            document = broker_document() | {"listenIP": "127.0.0.1", "port": port}
            said = self._refusal(written(self.folder, document))
        self.assertIn(f"The address 127.0.0.1:{port} is in use by another program", said)
        self.assertFalse((self.folder / "broker.db").exists())

    def test_unusable_database(self) -> None:
        """A database that cannot be opened is one sentence."""
        document = broker_document() | {"listenIP": "127.0.0.1", "port": free_port()}
        document["persister"]["database"] = "no/such/folder/broker.db"
        self.assertIn("persister.database: ", self._refusal(written(self.folder, document)))

    def test_order(self) -> None:
        """The broker stops with what takes requests, and last of all the threads that the rest needs."""
        configuration = load_broker(written(self.folder, broker_document()), {})
        lifetime = broker_tap.build(MemoryReactorClock(), configuration)
        self.assertTrue(IService.providedBy(lifetime))
        self.assertEqual(
            [stage.name for stage in reversed(lifetime.stages)],
            [
                "taking over",
                "the listener",
                "the requests and their work",
                "the leases",
                "the database",
                "the threads database",
                "the threads docker",
                "the threads passwords",
                "the threads names",
            ],
        )

    def test_time_to_stop(self) -> None:
        """Whoever stops the broker waits for as long as its parts may take, before it is killed."""
        configuration = load_broker(written(self.folder, broker_document()), {})
        lifetime = broker_tap.build(MemoryReactorClock(), configuration)
        own = sum(stage.patience for stage in lifetime.stages)
        for path, setting in (
            ("bin/processes.sh", "DAEMON_SECONDS"),
            ("etc/systemd/dockerbroker.service", "TimeoutStopSec"),
        ):
            found = re.search(rf"\b{setting}=(\d+)$", (ROOT / path).read_text("utf-8"), re.MULTILINE)
            assert found is not None
            self.assertLess(own, int(found[1]), path)

    def test_clock(self) -> None:
        """The broker's timers run by the clock that nobody sets."""
        document = broker_document() | {"listenIP": "127.0.0.1", "port": free_port()}
        self.assert_monotonic("broker_tap", written(self.folder, document))

    def _refusal(self, path: Path) -> str:
        options = self.parsed(broker_tap.Options(), "--config", str(path))
        return self.refusal(lambda: broker_tap.makeService(options))


class AgentTests(_Taps):
    """The agent."""

    def test_wrong_configuration(self) -> None:
        """A wrong file is one sentence with its path and its complaints."""
        path = written(self.folder, {})
        said = self._refusal("--config", str(path))
        self.assertIn(f"dockeragent: {path}: ", said)
        self.assertIn("brokerservers: must name at least one broker", said)

    def test_root(self) -> None:
        """The agent does not run as root unless its environment says so."""
        options = self.parsed(agent_tap.Options(), "--config", "/absent")
        self.assert_refuses_root(lambda: agent_tap.makeService(options))

    def test_a_pinger_for_each_broker(self) -> None:
        """Each listed broker has a stage of its own, after the first look at Docker."""
        self.assertEqual(
            self._stages(),
            [
                "the log",
                "the threads names",
                "the connections",
                "the threads Docker",
                "the looks at Docker",
                "the pings",
                "the pings",
            ],
        )

    def test_one_pinger_for_equal_brokers(self) -> None:
        """Brokers that are equals are pinged by one."""
        self.assertEqual(self._stages(pingbrokers="any").count("the pings"), 1)

    def test_without_looking(self) -> None:
        """An agent that is not to look at Docker does not."""
        stages = self._stages(watchdocker=False)
        self.assertNotIn("the looks at Docker", stages)
        self.assertNotIn("the threads Docker", stages)

    def test_certificate_without_tls(self) -> None:
        """A certificate for Docker at a socket, which has no TLS, is told to be useless, and not sent."""
        document = agent_document()
        document["serviceagent"] = {"servicehost": "h", "dockerhost": "unix:///var/run/docker.sock"}
        configuration = load_agent(written(self.folder, document))
        parts = agent_tap.Parts(
            reactor=MemoryReactorClock(),
            configuration=configuration,
            files={"clientcert": "x"},
            sender=lambda _server: Deferred,
        )
        self.assertIsNone(parts.material.current())
        with capturedLogs() as events:
            agent_tap.build(MemoryReactorClock(), configuration, {"clientcert": "x"}).stages[0].start()
        self.assertIn("is not used", "".join(formatEvent(event) or "" for event in events))

    def _stages(self, **agent: Any) -> list[str]:
        """Return the stages of an agent of two brokers with these members in its file."""
        document = agent_document()
        document["serviceagent"] |= agent
        document["brokerservers"].append({"host": "b", "port": 1, "user": "u", "password": "p"})
        configuration = load_agent(written(self.folder, document))
        return [stage.name for stage in agent_tap.build(MemoryReactorClock(), configuration, {}).stages]

    def test_certificates(self) -> None:
        """The three files belong together, are PEM, and the key is that of the certificate."""
        key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        files = {
            "cert": pem_certificate(key),
            "key": pem_key(key),
            "other": pem_key(other),
            "locked": pem_key(key, BestAvailableEncryption(b"passphrase")),
            "junk": b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n",
        }
        for name, content in files.items():
            (self.folder / name).touch(mode=0o600)
            (self.folder / name).write_bytes(content)
        (self.folder / "open").write_bytes(files["key"])
        (self.folder / "open").chmod(0o644)
        for cert, private, authority, expected in (
            ("cert", "", "", "--clientkey and --cacert are missing"),
            ("cert", "key", "", "--cacert is missing"),
            ("absent", "key", "cert", "cannot be read: No such file or directory"),
            ("junk", "key", "cert", "--clientcert: "),
            ("cert", "cert", "cert", "--clientkey: "),
            ("cert", "locked", "cert", "needs a passphrase"),
            ("cert", "open", "cert", "--clientkey: "),
            ("cert", "open", "cert", "run chmod 600 on it"),
            ("cert", "other", "cert", "not that of the certificate"),
            ("cert", "key", "key", "--cacert: "),
        ):
            self.assertIn(
                expected, self._refusal(*self._certificates(cert, private, authority), "--config", "x")
            )
        said = self._refusal(*self._certificates("cert", "key", "cert"), "--config", "/absent/agent.config")
        self.assertIn("/absent/agent.config", said)

    def test_clock(self) -> None:
        """The agent's timers run by the clock that nobody sets."""
        self.assert_monotonic("agent_tap", written(self.folder, agent_document()))

    def _certificates(self, cert: str, key: str, authority: str) -> list[str]:
        given = {"clientcert": cert, "clientkey": key, "cacert": authority}
        return [f"--{option}={self.folder / name}" for option, name in given.items() if name]

    def _refusal(self, *words: str) -> str:
        options = self.parsed(agent_tap.Options(), *words)
        return self.refusal(lambda: agent_tap.makeService(options))
