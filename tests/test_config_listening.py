"""Where the broker listens, and how that is encrypted, in its configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dockerbroker.config import ListeningConfiguration, TlsConfiguration
from dockerbroker.config.agent import BrokerTls
from dockerbroker.config.endpoints import SystemdEndpoint, TcpEndpoint, UnixEndpoint, read_endpoint
from dockerbroker.errors import InvalidConfiguration
from tests.configurations import ConfigurationCase, agent_document, broker_document


class _Case(ConfigurationCase):
    """Reads what a file says of listening."""

    def listening(self, **members: Any) -> ListeningConfiguration:
        """Return what a file with these members says."""
        return self.broker(broker_document() | members).listening

    def said(self, **members: Any) -> str:
        """Return what is said about a file with these members."""
        return self.complaints(broker_document() | members)


class EndpointTests(_Case):
    """`listen`."""

    def test_strings(self) -> None:
        """Ports, sockets of the file system and of systemd are read as Twisted has them."""
        for text, endpoint in (
            ("tcp:9998", TcpEndpoint(host="0.0.0.0", port=9998)),
            ("tcp:port=80:interface=192.0.2.1", TcpEndpoint(host="192.0.2.1", port=80)),
            ("tcp:80:192.0.2.1:5", TcpEndpoint(host="192.0.2.1", port=80, backlog=5)),
            ("tcp:80:interface=\\:\\:1", TcpEndpoint(host="::1", port=80)),
            ("tcp6:80", TcpEndpoint(host="::", port=80)),
            ("unix:/run/b\\:1", UnixEndpoint(path=Path("/run/b:1"))),
            ("unix:b.socket:mode=600", UnixEndpoint(path=self.folder / "b.socket", mode=0o600)),
            ("systemd:domain=INET6:index=2", SystemdEndpoint(domain="INET6", index=2)),
            ("systemd:domain=unix:name=web", SystemdEndpoint(domain="UNIX", label="web")),
        ):
            self.assertEqual(self.listening(listen=text).endpoints, (endpoint,), text)

    def test_several(self) -> None:
        """A list is for several; what the file and the environment say of one port is not used beside it."""
        document = broker_document() | {"listen": ["tcp:1", "unix:/b"], "port": 5, "listenIP": "::1"}
        configuration = self.broker(document, PORT="7", VCAP_APP_HOST="192.0.2.1")
        self.assertEqual([one.name for one in configuration.listening.endpoints], ["0.0.0.0:1", "unix:/b"])
        told = " ".join(configuration.warnings)
        self.assertIn("port: has no effect beside listen", told)
        self.assertIn("listenIP: has no effect beside listen", told)

    def test_ssl(self) -> None:
        """An `ssl:` string is refused with a sentence that says what to write instead."""
        said = self.said(listen="ssl:443:privateKey=a:certKey=b")
        self.assertIn("listen: ssl:443:privateKey=a:certKey=b must not begin with ssl:", said)
        self.assertIn("say tcp: here, and name the certificate in tls", said)

    def test_wrong(self) -> None:
        """Whatever else is wrong is said, each with its string."""
        for text, expected in (
            ("", "must begin with tcp:"),
            ("9998", "must begin with tcp:"),
            ("tls:443", "must begin with tcp:"),
            ("tcp:", "needs a port from 0 to 65535"),
            ("tcp:http", "needs a port"),
            ("tcp:65536", "needs a port"),
            ("tcp:1:reuse=1", "has an unknown part reuse"),
            ("tcp:1:a:2:3", "has too many parts"),
            ("tcp:1\\", "ends with a backslash"),
            ("unix:", "needs the path"),
            ("unix:/a:mode=888", "three octal digits"),
            ("systemd:index=0", "needs a domain"),
            ("systemd:domain=INET", "either an index or a name"),
            ("systemd:domain=INET:index=0:name=x", "either an index or a name"),
        ):
            self.assertIn(expected, self.said(listen=text), text)
        for wrong, expected in (
            (5, "must be an array"),
            ([], "must be an endpoint"),
            ([1], "must be an array of strings"),
        ):
            self.assertIn(f"listen: {expected}", self.said(listen=wrong))

    @given(st.text() | st.text(alphabet="tcpunixsyemd:=\\0123"))
    def test_anything(self, text: str) -> None:
        """Any string is an endpoint or a `ValueError`."""
        try:
            endpoint = read_endpoint(text, Path("/folder"))
        except ValueError as error:
            self.assertNotEqual(str(error), "")
        else:
            self.assertTrue(endpoint.name)


class TlsTests(_Case):
    """`tls` and `plainhttp`."""

    def test_files(self) -> None:
        """The files are those of the configuration's folder, and TLS 1.2 is the lowest version."""
        tls = {"Certificate": "c.pem", "PrivateKey": "/k.pem", "clientCA": "ca.pem", "minimum": "1.3"}
        self.assertEqual(
            self.listening(tls=tls).tls,
            TlsConfiguration(
                certificate=self.folder / "c.pem",
                private_key=Path("/k.pem"),
                client_ca=self.folder / "ca.pem",
                minimum="1.3",
            ),
        )
        self.assertEqual(
            self.listening(tls={"selfsigned": True, "names": ["b"]}).tls,
            TlsConfiguration(
                certificate=self.folder / "broker.crt",
                private_key=self.folder / "broker.key",
                minimum="1.2",
                is_self_signed=True,
                names=("b",),
            ),
        )

    def test_wrong(self) -> None:
        """A pair that is not whole, an old version and what is no object are complaints."""
        said = self.said(tls={"minimum": "1.1"})
        for key in ("certificate: is missing", "privatekey: is missing", 'minimum: must be "1.2" or "1.3"'):
            self.assertIn(f"tls.{key}", said)
        self.assertIn("tls: must be an object", self.said(tls=True))
        document = broker_document() | {"tls": {"selfsigned": True}, "plainhttp": True}
        self.assertIn("plainhttp: has no effect beside tls", " ".join(self.broker(document).warnings))

    def test_plain(self) -> None:
        """Without TLS only this machine is heard, unless that is allowed; the refusal names the keys."""
        for listen in (
            "tcp:1:interface=127.0.0.1",
            "tcp:1:interface=\\:\\:1",
            "tcp:1:localhost",
            "unix:/b",
            "systemd:domain=UNIX:index=0",
        ):
            self.listening(listen=listen).check()
        for members in (
            {},
            {"listenIP": "192.0.2.1"},
            {"listen": ["unix:/b", "tcp:1"]},
            {"listen": "tcp6:1"},
            {"listen": "tcp:1:interface=broker.example.org"},
            {"listen": "systemd:domain=INET:index=0"},
        ):
            refusal = self.assertRaises(InvalidConfiguration, self.listening(**members).check)
            self.assertIn("over plain HTTP", refusal.description)
            self.assertIn('"plainhttp": true', refusal.description)
            self.assertIn("tls", refusal.description)
            self.listening(**members, plainhttp=True).check()
            self.listening(**members, tls={"selfsigned": True}).check()


class AgentTests(_Case):
    """What an agent's file says of brokers and TLS."""

    def server(self, **members: Any) -> Any:
        """Return the broker of an agent's file with these members."""
        document = agent_document()
        document["brokerservers"][0] |= members
        (server,) = self.agent(document).brokers
        return server

    def test_encrypted(self) -> None:
        """A broker is pinged over HTTPS when that is said, or how it is verified."""
        self.assertIsNone(self.server().tls)
        self.assertIsNone(self.server(tls=False).tls)
        beside = self.folder
        for members, files in (
            ({"tls": True}, BrokerTls()),
            ({"cacert": "ca.pem"}, BrokerTls(ca=beside / "ca.pem")),
            (
                {"certificate": "c.pem", "privatekey": "k.pem"},
                BrokerTls(certificate=beside / "c.pem", private_key=beside / "k.pem"),
            ),
        ):
            server = self.server(**members)
            self.assertEqual((server.url, server.tls), ("https://10.0.0.3:9998/ping", files))

    def test_wrong(self) -> None:
        """Half a pair, files that would not be used, and names that are none are complaints."""
        for members, said in (
            ({"certificate": "c.pem"}, "certificate: belongs together with privatekey"),
            ({"cacert": "ca.pem", "tls": False}, "tls: must not be false beside cacert"),
            ({"host": "a\r\nb"}, "host: must be a name or an address"),
            ({"host": "a\x07b"}, "host: must be a name or an address"),
        ):
            document = agent_document()
            document["brokerservers"][0] |= members
            self.assertIn(f"brokerservers[0].{said}", self.agent_complaints(document))
