"""Entity tags of what administrators read, and changes on condition that nobody else was there first."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred

from dockerbroker.errors import PreconditionFailed
from dockerbroker.model.concealing import MARK
from tests.stack import HOST, Answer
from tests.web.test_certificates import OTHER, CertificatesCase, body

_IMAGE: Final = "/docker/image/mysql"
_STATIC: Final = {"Plan": "100", "Credentials": {"user": "u", "password": "first"}}
_CERTIFICATE: Final = f"/certificate/{HOST.key.docker_host}"

#: What is read, and can be known already.
_READ: Final = (
    "/admin/catalog",
    "/admin/conditions",
    "/admin/hosts",
    "/admin/hosts/10.0.0.1",
    "/admin/hosts/10.0.0.1/ports",
    "/admin/instances",
    "/admin/instances/i-1",
    "/admin/instances/i-1/bindings",
    "/admin/instances/i-1/bindings/b-1",
    "/admin/openapi.yaml",
    "/admin/openapi-operators.yaml",
    "/admin/operations",
    "/docker/images",
    "/docker/image/redis",
    "/certificates",
    _CERTIFICATE,
)


class ConditionsCase(CertificatesCase):
    """A broker."""

    def when(self, method: str, path: str, document: Any = None, **conditions: str | None) -> Answer:
        """Ask on conditions."""
        headers = {name.replace("_", "-"): value for name, value in conditions.items()}
        return self.stack.request(method, path, document, headers=headers)


class ReadTests(ConditionsCase):
    """What is read."""

    def test_known(self) -> None:
        """What the client has is not sent again; what has changed is."""
        self.stack.provision("i-1")
        self.stack.bind("i-1", "b-1")
        self.stack.request("PUT", _CERTIFICATE, body())
        for path in _READ:
            answer = self.stack.request("GET", path)
            tag = answer.header("etag")
            assert tag is not None, path
            self.assertRegex(tag, r'^"[0-9a-f]{32}"$')
            for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
                again = self.when("GET", path, if_none_match=known)
                self.assertEqual((again.status, again.body, again.header("etag")), (304, b"", tag), path)
            self.assertEqual(self.when("GET", path, if_none_match='"x"').body, answer.body)

    def test_changed(self) -> None:
        """What is another one has another tag, be it only another password."""
        tags = set()
        for password in ("first", "second"):
            changed = {**_STATIC, "Credentials": {"user": "u", "password": password}}
            put = self.stack.request("PUT", _IMAGE, changed)
            self.assertEqual(put.header("etag"), self.stack.request("GET", _IMAGE).header("etag"))
            tags.add(put.header("etag"))
        self.assertEqual(len(tags), 2)
        self.stack.persister.tables.cluster_id = "another"
        self.assertNotIn(self.stack.request("GET", _IMAGE).header("etag"), tags)


class ImageTests(ConditionsCase):
    """Changes of images."""

    def password(self) -> str:
        """Return the password that is stored."""
        images = self.successResultOf(Deferred.fromCoroutine(self.stack.persister.images()))
        [credentials] = [image.credentials for image in images if image.name == "mysql"]
        assert credentials is not None
        return str(credentials.reveal()["password"])

    def test_overtaken(self) -> None:
        """A change that was decided on what is stored no more is refused, and nothing is changed."""
        tag = self.stack.request("PUT", _IMAGE, _STATIC).header("etag")
        second = {**_STATIC, "Credentials": {"user": "u", "password": "second"}}
        self.assertEqual(self.when("PUT", _IMAGE, second, if_match=tag).status, 200)
        for method, document in (("PUT", _STATIC), ("DELETE", None)):
            for wrong in (tag, f"W/{self.stack.request('GET', _IMAGE).header('etag')}", '"x"', ""):
                answer = self.when(method, _IMAGE, document, if_match=wrong)
                self.assertEqual(answer.status, 412, (method, wrong))
                self.assertRegex(answer.description, r"\.$")
        self.assertEqual(self.password(), "second")
        self.assertEqual(self.when("PUT", _IMAGE, _STATIC, if_match="*").status, 200)
        tag = self.stack.request("GET", _IMAGE).header("etag")
        self.assertEqual(self.when("DELETE", _IMAGE, if_match=tag).status, 200)
        for method in ("PUT", "DELETE"):
            self.assertEqual(self.when(method, _IMAGE, _STATIC, if_match="*").status, 412)

    def test_new(self) -> None:
        """One that must be new is refused where there is one."""
        self.assertEqual(self.when("PUT", _IMAGE, _STATIC, if_none_match="*").status, 201)
        self.assertEqual(self.when("PUT", _IMAGE, {"Plan": "1"}, if_none_match="*").status, 412)
        self.assertEqual(self.password(), "first")

    def test_marks(self) -> None:
        """What was read can be put again: what is not told stays as it is stored, also beside changes."""
        client = {"id": "a", "secret": "b", "redirect_uri": "http://c"}
        url = {"dashboard_url": "mysql://admin:hidden@h/d"}
        self.stack.request("PUT", _IMAGE, {**_STATIC, "Dashboardclient": client, "DashBoardUrl": url})
        told = self.stack.request("GET", _IMAGE)
        for secret in (b"first", b"hidden", b'"b"'):
            self.assertNotIn(secret, told.body)
        again = self.stack.request("PUT", _IMAGE, {**told.json, "Description": "new"})
        self.assertEqual((again.status, again.json["Description"]), (200, "new"))
        images = self.successResultOf(Deferred.fromCoroutine(self.stack.persister.images()))
        [stored] = [image for image in images if image.name == "mysql"]
        assert stored.dashboard_client is not None
        self.assertEqual(stored.dashboard_client.reveal(), client)
        self.assertEqual(stored.dashboard_url, url["dashboard_url"])
        self.assertEqual(self.password(), "first")

    def test_marks_of_nothing(self) -> None:
        """A mark that stands for nothing is refused with the place where it stands."""
        for _ in range(2):
            for members, place in (
                ({"Credentials": {"other": MARK}}, "credentials.other"),
                ({"Credentials": {"list": [{"x": MARK}]}}, "credentials.list[0].x"),
                (
                    {"Dashboardclient": {"id": "a", "secret": MARK, "redirect_uri": "http://c"}},
                    "dashboardclient.secret",
                ),
                ({"DashBoardUrl": {"dashboard_url": f"http://a:{MARK}@h"}}, "dashboardurl"),
            ):
                answer = self.stack.request("PUT", _IMAGE, {"Plan": "100", **members})
                self.assertEqual(answer.status, 400, members)
                self.assertIn(place, answer.description)
            self.stack.request("PUT", _IMAGE, _STATIC)

    def test_races(self) -> None:
        """A change that keeps what is stored is decided anew when another comes in between, not for ever."""
        self.stack.request("PUT", _IMAGE, _STATIC)
        overtaken = PreconditionFailed("It was changed by somebody else.")
        kept = {**_STATIC, "Credentials": {"user": "new", "password": MARK}}
        self.stack.persister.fail_next("put_image", overtaken)
        self.assertEqual(self.stack.request("PUT", _IMAGE, kept).status, 200)
        self.assertEqual(self.password(), "first")
        for method in ("PUT", "DELETE"):
            for _ in range(5):
                self.stack.persister.fail_next("put_image" if method == "PUT" else "delete_image", overtaken)
            self.assertEqual(self.when(method, _IMAGE, kept, if_match="*").status, 503)
            self.assertEqual(self.stack.request("GET", _IMAGE).status, 200)


class CertificateTests(ConditionsCase):
    """Changes of certificates."""

    def test_overtaken(self) -> None:
        """A change that was decided on what is stored no more is refused, and nothing is changed."""
        self.assertEqual(self.when("PUT", _CERTIFICATE, body(), if_match="*").status, 412)
        first = self.when("PUT", _CERTIFICATE, body(), if_none_match="*")
        self.assertEqual(first.status, 201)
        self.assertEqual(self.when("PUT", _CERTIFICATE, body(OTHER), if_none_match="*").status, 412)
        tag = first.header("etag")
        self.assertEqual(self.stack.request("GET", _CERTIFICATE).header("etag"), tag)
        second = self.when("PUT", _CERTIFICATE, body(OTHER), if_match=tag)
        self.assertEqual(second.status, 200)
        for method in ("PUT", "DELETE"):
            answer = self.when(method, _CERTIFICATE, body(), if_match=tag)
            self.assertEqual(answer.status, 412)
            self.assertRegex(answer.description, r"\.$")
        stored = self.stack.request("GET", _CERTIFICATE)
        self.assertEqual(stored.json["Fingerprint"], second.json["Fingerprint"])
        self.assertEqual(self.when("DELETE", _CERTIFICATE, if_match=stored.header("etag")).status, 200)
        self.assertEqual(self.when("DELETE", _CERTIFICATE, if_match=tag).status, 412)
