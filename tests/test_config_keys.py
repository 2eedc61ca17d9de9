"""Keys of the database: where they are read from, and what is refused."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config.keys import KeySource, add_key, load_keys, new_label, read_keys, remove_key
from dockerbroker.errors import InvalidConfiguration
from tests.configurations import ConfigurationCase, broker_document
from tests.vaults import key_text


class KeyFileTests(SynchronousTestCase):
    """A file of keys."""

    def setUp(self) -> None:
        """Name a file that does not exist."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.path = self.folder / "keys"

    def refusal(self, path: Path) -> str:
        """Return why the file is refused."""
        error = self.assertRaises(InvalidConfiguration, load_keys, path)
        assert isinstance(error, InvalidConfiguration)
        return error.description

    def test_add(self) -> None:
        """Keys are added at the end of a file of mode 0600; those before stay as they were."""
        add_key(self.path, "one")
        first = load_keys(self.path).keys["one"]
        add_key(self.path, "two")
        ring = load_keys(self.path)
        self.assertEqual((list(ring.keys), ring.newest), (["one", "two"], "two"))
        self.assertEqual(ring.keys["one"], first)
        self.assertEqual({len(key.reveal()) for key in ring.keys.values()}, {32})
        self.assertNotEqual(ring.keys["one"], ring.keys["two"])
        self.assertEqual(
            (self.path.stat().st_mode & 0o777, list(self.folder.iterdir())), (0o600, [self.path])
        )
        self.assertRaises(InvalidConfiguration, add_key, self.path, "two")
        self.assertRaises(InvalidConfiguration, add_key, self.path, "two:three")
        self.assertRaises(InvalidConfiguration, add_key, self.folder / "absent" / "keys", "one")
        self.assertNotEqual(new_label(), new_label())

    def test_remove(self) -> None:
        """A key is removed, but not the only one, nor one that is not there."""
        add_key(self.path, "one")
        add_key(self.path, "two")
        remove_key(self.path, "one")
        self.assertRaises(InvalidConfiguration, remove_key, self.path, "one")
        self.assertEqual(list(load_keys(self.path).keys), ["two"])
        self.assertRaises(InvalidConfiguration, remove_key, self.path, "two")

    def test_link(self) -> None:
        """A link of one's own is followed, and stays when keys are added and removed."""
        add_key(self.path, "one")
        link = self.folder / "link"
        link.symlink_to("keys")
        add_key(link, "two")
        remove_key(link, "one")
        self.assertEqual((list(load_keys(self.path).keys), link.is_symlink()), (["two"], True))

    def test_group(self) -> None:
        """A file that root has given to the group of a broker is still that group's when keys are added."""
        if os.geteuid() != 0:
            raise self.skipTest("needs root, to give a file away")
        add_key(self.path, "one")
        os.chown(self.path, -1, 1001)
        self.path.chmod(0o640)
        add_key(self.path, "two")
        remove_key(self.path, "one")
        found = self.path.stat()
        self.assertEqual((found.st_mode & 0o777, found.st_uid, found.st_gid), (0o640, 0, 1001))
        self.assertEqual(list(load_keys(self.path).keys), ["two"])

    def test_modes(self) -> None:
        """A file that others may read or write is refused, also when a key is to be added to it."""
        add_key(self.path, "one")
        for mode in (0o640, 0o604, 0o644, 0o660, 0o602, 0o777):
            self.path.chmod(mode)
            self.assertIn(f"mode {mode:04o}", self.refusal(self.path))
            self.assertRaises(InvalidConfiguration, add_key, self.path, "two")
        self.path.chmod(0o400)
        self.assertEqual(list(load_keys(self.path).keys), ["one"])

    def test_no_file(self) -> None:
        """What is absent, a folder, or no text is refused with its name."""
        for path in (self.path, self.folder):
            self.assertIn(str(path), self.refusal(path))
        self.path.write_bytes(b"\xff\xfe")
        self.path.chmod(0o600)
        self.assertIn("something else", self.refusal(self.path))

    def test_lines(self) -> None:
        """What is no label and key of 32 bytes is refused by its line, and nothing of it is shown."""
        good = key_text("one")
        self.assertEqual(list(read_keys(f"# remark\n\n {good} \n", "x").keys), ["one"])
        short = b64encode(b"f0ul-s3cret").decode()
        for text in (
            "",
            "# no key",
            f"one {short}",
            "one",
            f"{good} more",
            f"{good}\n{good}",
            f"{good}\n-x y",
            "one %%%",
        ):
            error = self.assertRaises(InvalidConfiguration, read_keys, text, "x")
            self.assertNotIn(good.split()[1], str(error))
            self.assertNotIn(short, str(error))


class KeyConfigurationTests(ConfigurationCase):
    """What the broker's configuration and its environment say of keys."""

    def setUp(self) -> None:
        """Name a file of keys."""
        super().setUp()
        self.keys = self.folder / "keys"

    def source(self, **environment: str) -> KeySource:
        """Return where keys are read from."""
        return self.broker(broker_document() | {"keys": "keys"}, **environment).persister.keys

    def refusal(self, **environment: str) -> str:
        """Return why the configuration is refused."""
        error = self.assertRaises(InvalidConfiguration, self.source, **environment)
        assert isinstance(error, InvalidConfiguration)
        return error.description

    def test_file(self) -> None:
        """The file is found beside the configuration, and what it holds now is read."""
        add_key(self.keys, "one")
        source = self.source()
        add_key(self.keys, "two")
        self.assertEqual((source.name, source.load().newest), (str(self.keys), "two"))

    def test_refused(self) -> None:
        """A file that is absent or that others may read keeps the broker from starting, which says so."""
        self.assertIn(f"keys: {self.keys}", self.refusal())
        add_key(self.keys, "one")
        self.keys.chmod(0o644)
        self.assertIn("chmod 600", self.refusal())

    def test_environment(self) -> None:
        """Keys of the environment beat the file; commas divide them as well."""
        text = key_text("one", "two").replace("\n", ",")
        source = self.source(DOCKERBROKER_KEYS=text)
        self.assertEqual(list(source.load().keys), ["one", "two"])
        self.assertNotIn(text.split()[1], repr(source))
        self.assertNotIn("b25l", self.refusal(DOCKERBROKER_KEYS="one b25l"))

    def test_none(self) -> None:
        """Without a file and a variable there are no keys."""
        source = self.broker(broker_document()).persister.keys
        self.assertEqual((dict(source.load().keys), source.load().newest), ({}, None))
