"""Files that hold keys."""

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config.private import check_private_file, is_open, mode_trouble
from dockerbroker.errors import InvalidConfiguration

OWN, OTHER = 1000, 1001


class PrivateFileTests(SynchronousTestCase):
    """What is refused as a file for a key."""

    def setUp(self) -> None:
        """Make a folder with a key that is in order."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        self.key = self.folder / "key.pem"
        self.key.write_text("key")
        self.key.chmod(0o600)

    def refusal(self, path: Path) -> str:
        """Return the sentence with which the file is refused."""
        refused = self.assertRaises(InvalidConfiguration, check_private_file, path)
        assert isinstance(refused, InvalidConfiguration)
        return refused.description

    def test_in_order(self) -> None:
        """A file that its owner alone can read is taken, and so is one that nobody may write."""
        check_private_file(self.key)
        self.key.chmod(0o400)
        check_private_file(self.key)

    def test_readable_by_others(self) -> None:
        """What others may read, write or execute is refused, and the sentence says how to mend it."""
        for mode in (0o640, 0o604, 0o644, 0o666, 0o777, 0o620, 0o602, 0o610, 0o601):
            self.key.chmod(mode)
            self.assertIn(f"has mode {mode:04o}", self.refusal(self.key))
            self.assertIn("chmod 600", self.refusal(self.key))

    def test_group_of_root(self) -> None:
        """Where root has given its file to a group, that group may read it and nothing else."""
        self.assertIsNone(mode_trouble(0o640, 0, OWN, user=OWN))
        self.assertIsNone(mode_trouble(0o640, 0, OWN, user=0))
        self.assertIsNotNone(mode_trouble(0o660, 0, OWN, user=OWN))
        self.assertIsNotNone(mode_trouble(0o644, 0, OWN, user=OWN))
        self.assertIsNotNone(mode_trouble(0o640, OWN, OWN, user=OWN))
        self.assertIsNotNone(mode_trouble(0o640, OWN, OWN, user=0))
        self.assertIsNotNone(mode_trouble(0o640, 0, 0, user=0))

    def test_another_user(self) -> None:
        """A file of another user, who can change it, is refused."""
        if os.geteuid() != 0:
            raise self.skipTest("needs root, to give a file away")
        os.chown(self.key, OTHER, -1)
        self.assertIn("another user", self.refusal(self.key))

    def test_link(self) -> None:
        """A symbolic link of one's own is followed; that of another user is refused."""
        link = self.folder / "link.pem"
        link.symlink_to(self.key.absolute())
        check_private_file(link)
        self.key.chmod(0o644)
        self.assertIn("0644", self.refusal(link))
        if os.geteuid() == 0:
            self.key.chmod(0o600)
            os.chown(link, OTHER, -1, follow_symlinks=False)
            self.assertIn("another user", self.refusal(link))

    def test_open_folder(self) -> None:
        """A file is refused in a folder where everybody can exchange it, however it is reached."""
        self.folder.chmod(0o777)
        self.assertIn("everybody can exchange it", self.refusal(self.key))
        private = Path(self.mktemp())
        private.mkdir(parents=True)
        link = private / "link.pem"
        link.symlink_to(self.key.absolute())
        self.assertIn("everybody can exchange it", self.refusal(link))

    def test_sticky_folder(self) -> None:
        """Where files are removed by their owners alone, one's own is as good as elsewhere."""
        self.assertFalse(is_open(0o41777))
        self.assertTrue(is_open(0o40777))
        self.assertFalse(is_open(0o40775))

    def test_no_file(self) -> None:
        """Folders, devices and what does not exist are refused with a sentence."""
        self.assertIn("no regular file", self.refusal(self.folder))
        self.assertIn("No such file", self.refusal(self.folder / "absent"))
