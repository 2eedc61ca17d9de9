"""Which versions are too old (S50)."""

from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.floors import outdated
from dockerbroker.model.vitals import Vitals
from tests.model.values import texts, unhurried


class FloorTests(SynchronousTestCase):
    """The version of runc that an agent tells."""

    def test_floor(self) -> None:
        """Whatever is older than the first mended version of its line is told with that version."""
        for version, floor in (
            ("1.0.0-rc93", "1.2.8"),
            ("1.1.5+ds1", "1.2.8"),
            ("1.1.12", "1.2.8"),
            ("1.2.7", "1.2.8"),
            ("1.3.0", "1.3.3"),
            ("1.3.2", "1.3.3"),
        ):
            sentence = outdated(Vitals(runc_version=version))
            self.assertIn(f"runc {version} is older than {floor}, ", sentence)
            self.assertIn("CVE-2025-31133", sentence)

    def test_new(self) -> None:
        """Mended versions and later ones are none, nor is what nobody knows."""
        for version in (
            "1.2.8",
            "1.2.10",
            "1.3.3",
            "1.4.0-rc.3",
            "1.10.0",
            "2.0",
            None,
            "",
            "unknown",
            "v1.0",
        ):
            self.assertEqual(outdated(Vitals(runc_version=version)), "", version)
        self.assertEqual(outdated(None), "")

    @unhurried
    @given(texts)
    def test_anything(self, text: str) -> None:
        """No text is an error."""
        outdated(Vitals(runc_version=text))
