"""The section `persister` of the broker's file: which database there is, and how it is reached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dockerbroker.config.persister import ServerConfiguration, SqliteConfiguration, Tls
from dockerbroker.model.secrets import Secret
from tests.configurations import ConfigurationCase, broker_document, server_document
from tests.engine_transport import ThrowawayAuthority

SERVERS = ("mysql", "postgresql", "redis")


class PersisterCase(ConfigurationCase):
    """Complaints about the section."""

    def said(self, document: object) -> str:
        """Return what is said about the document, without the file's name."""
        return self.complaints(document).removeprefix(f"{self.folder}/test.config: ")


class DriverTests(PersisterCase):
    """The name of the driver decides what else is read."""

    def driver(self, name: str) -> str:
        """Return the driver of that name."""
        document = server_document()
        document["persister"] |= {"driver": name, "database": "1"}
        return self.broker(document).persister.driver

    def test_names(self) -> None:
        """Each driver has its names, in upper or lower case."""
        for name in ("sqlite", "sqlite3", "SQLite"):
            self.assertEqual(self.driver(name), "sqlite")
        for name in ("mysql", "mariadb", "MySQL", "MariaDB"):
            self.assertEqual(self.driver(name), "mysql")
        for name in ("postgresql", "postgres", "PostgreSQL"):
            self.assertEqual(self.driver(name), "postgresql")
        for name in ("redis", "Redis"):
            self.assertEqual(self.driver(name), "redis")

    def test_unknown(self) -> None:
        """Another one is a complaint that names all that there are, and shows little of what was given."""
        for name, shown in (("oracle", "oracle"), ("x" * 1000, "x" * 40), ("my sql\n", r"my sql\n")):
            document = broker_document()
            document["persister"]["driver"] = name
            self.assertEqual(
                self.said(document),
                f"persister.driver: must be sqlite, mysql, postgresql or redis, not '{shown}'.",
            )

    def test_missing(self) -> None:
        """Without a driver the driver is missed."""
        for name in ("", None):
            document = broker_document()
            document["persister"]["driver"] = name
            self.assertEqual(self.said(document), "persister.driver: is missing or empty.")

    def test_sqlite(self) -> None:
        """SQLite needs a file; what belongs to servers may stand there, and is not looked at."""
        document = broker_document()
        document["persister"] |= {"host": 5, "port": "http", "tls": [], "poolsize": -1, "prefix": "{"}
        configuration = self.broker(document)
        self.assertEqual(configuration.persister, SqliteConfiguration(database=self.folder / "broker.db"))
        self.assertEqual(configuration.warnings, ())


class ServerTests(PersisterCase):
    """Databases that are reached over the network."""

    def read(self, document: dict[str, Any]) -> ServerConfiguration:
        """Return how the document's database is reached."""
        persister = self.broker(document).persister
        assert isinstance(persister, ServerConfiguration)
        return persister

    def test_defaults(self) -> None:
        """All but host, user and database has the documented default; Redis needs the host alone."""
        ports = {"mysql": 3306, "postgresql": 5432, "redis": 6379}
        for driver, port in ports.items():
            is_redis = driver == "redis"
            self.assertEqual(
                self.read(server_document(driver)),
                ServerConfiguration(
                    driver=driver,
                    host="db.example.org",
                    port=port,
                    user="" if is_redis else "broker",
                    password=Secret(""),
                    database="0" if is_redis else "broker",
                    tls=None,
                    pool_size=8,
                    connect_within=2.0,
                    answer_within=3.0,
                    prefix="dockerbroker",
                ),
            )

    def test_all(self) -> None:
        """Everything is read, whatever the case of its key; numbers may be in quotes."""
        members = {
            "Host": "10.0.0.5",
            "PORT": "7000",
            "User": "who",
            "Password": "p4ss word",
            "Database": "3",
            "PoolSize": "20",
            "connectWithin": 1,
            "AnswerWithin": "2.5",
            "Prefix": "other",
            "TLS": {"Verify": "false"},
        }
        for driver in SERVERS:
            configuration = self.broker(broker_document() | {"persister": {"driver": driver, **members}})
            self.assertEqual(
                configuration.persister,
                ServerConfiguration(
                    driver=driver,
                    host="10.0.0.5",
                    port=7000,
                    user="who",
                    password=Secret("p4ss word"),
                    database="3",
                    tls=Tls(ca=None, verify=False),
                    pool_size=20,
                    connect_within=1.0,
                    answer_within=2.5,
                    prefix="other" if driver == "redis" else "dockerbroker",
                ),
            )
            self.assertEqual(configuration.warnings, ())

    def test_missing(self) -> None:
        """What is missing is named, all at once."""
        for driver, missing in (("mysql", 3), ("postgresql", 3), ("redis", 1)):
            said = self.said(broker_document() | {"persister": {"driver": driver}})
            keys = ("host", "user", "database")[:missing]
            self.assertEqual(said, "; ".join(f"persister.{key}: is missing or empty" for key in keys) + ".")

    def test_bounds(self) -> None:
        """Every number has bounds, both of which are possible."""
        for key, least, most, beyond in (
            ("port", 1, 65535, (0, 65536)),
            ("poolsize", 1, 100, (0, 101)),
            ("connectwithin", 0.1, 4, (0, 4.1)),
            ("answerwithin", 0.1, 4, (0, 4.1)),
        ):
            document = server_document()
            for good in (least, most):
                document["persister"][key] = good
                self.read(document)
            for wrong in (*beyond, "many", True, []):
                kind = "whole number" if isinstance(least, int) else "number"
                document["persister"][key] = wrong
                self.assertEqual(
                    self.said(document),
                    f"persister.{key}: must be a {kind} from {least} to {most}.",
                )

    def test_number_of_redis(self) -> None:
        """The database of Redis is a number, also in quotes."""
        for given, read in ((5, "5"), ("15", "15"), ("", "0"), (65536, "65536")):
            self.assertEqual(self.read(server_document("redis", database=given)).database, read)
        for wrong in ("broker", -1, 65537):
            self.assertEqual(
                self.said(server_document("redis", database=wrong)),
                "persister.database: must be a whole number from 0 to 65536.",
            )

    def test_host(self) -> None:
        """A host is a name or an address, no URL."""
        for good in ("db", "db.example.org", "10.0.0.1", "2001:db8::1"):
            self.assertEqual(self.read(server_document(host=good)).host, good)
        for wrong in ("tcp://db", "user@db", "db 1", "db?x", "/run/socket", "[::1]"):
            self.assertEqual(
                self.said(server_document(host=wrong)), "persister.host: must be a name or an address."
            )

    def test_prefix(self) -> None:
        """A prefix of Redis fits into the braces that stand around it."""
        for good in ("b", "x" * 64, "a:b/c"):
            self.assertEqual(self.read(server_document("redis", prefix=good)).prefix, good)
        self.assertEqual(self.read(server_document("redis", prefix="")).prefix, "dockerbroker")
        for wrong in ("x" * 65, "a{b", "a}b", "a b", "a\nb"):
            self.assertEqual(
                self.said(server_document("redis", prefix=wrong)),
                "persister.prefix: must have at most 64 characters, no blank and no brace.",
            )

    def test_unknown(self) -> None:
        """Unknown keys are warnings, inside of `tls` as well."""
        tls = {"ca": self.authority().name, "cert": "x"}
        warnings = self.broker(server_document(file="x", tls=tls)).warnings
        self.assertEqual(len(warnings), 2)
        for warning, key in zip(warnings, ("persister.file", "persister.tls.cert"), strict=True):
            self.assertIn(f" {key}: is no known key", warning)

    def test_password_does_not_print(self) -> None:
        """The password is not shown."""
        self.assertNotIn("t0p-s3cret", repr(self.broker(server_document(password="t0p-s3cret"))))

    def authority(self) -> Path:
        """Write the certificate of an authority; returns the file."""
        path = self.folder / "ca.pem"
        path.write_bytes(ThrowawayAuthority().certificate())
        return path

    def test_tls(self) -> None:
        """Without `tls` nothing is verified; with it, everything is, unless that is switched off."""
        path = self.authority()
        for given, read in (
            (None, None),
            ({}, Tls(ca=None, verify=True)),
            ({"ca": ""}, Tls(ca=None, verify=True)),
            ({"ca": "ca.pem"}, Tls(ca=path, verify=True)),
            ({"ca": str(path)}, Tls(ca=path, verify=True)),
            ({"verify": False}, Tls(ca=None, verify=False)),
        ):
            self.assertEqual(self.read(server_document(tls=given)).tls, read)

    def test_wrong_tls(self) -> None:
        """A file of authorities must be one; all else has its type."""
        (self.folder / "text.pem").write_text("no certificate", encoding="utf-8")
        for given, said in (
            (True, "persister.tls: must be an object."),
            ({"verify": "perhaps"}, "persister.tls.verify: must be true or false."),
            ({"ca": 5}, "persister.tls.ca: must be a string."),
            (
                {"ca": "absent.pem"},
                f"persister.tls.ca: {self.folder}/absent.pem cannot be read: No such file or directory.",
            ),
            ({"ca": "."}, f"persister.tls.ca: {self.folder} cannot be read: Is a directory."),
            (
                {"ca": "text.pem"},
                f"persister.tls.ca: {self.folder}/text.pem holds no certificate in the PEM format.",
            ),
        ):
            self.assertEqual(self.said(server_document(tls=given)), said)
