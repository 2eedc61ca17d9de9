"""The catalog as bytes, and what a platform that has them is told."""

from typing import Any, cast

from attrs import Factory, define
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.service import ServiceBroker
from dockerbroker.web.page import FRESH, CatalogPage, Page
from tests.model.values import renamed, unhurried
from tests.stack import REDIS, Answer, Stack
from tests.web.connection import Connection


class TagTests(SynchronousTestCase):
    """Entity tags (RFC 9110, section 8.8.3)."""

    @unhurried
    @given(st.binary(max_size=20), st.binary(max_size=20))
    def test_of_the_bytes(self, one: bytes, other: bytes) -> None:
        """Equal bytes have one tag, other bytes another, whoever makes it."""
        self.assertEqual(Page.of(one).tag == Page.of(other).tag, one == other)
        self.assertRegex(Page.of(one).tag, rb'\A"[0-9a-f]{32}"\Z')

    def test_known(self) -> None:
        """The tag is known alone, in a list, as a weak one, and by the asterisk."""
        page, other = Page.of(b"one"), Page.of(b"other").tag
        for value in (page.tag, b"W/" + page.tag, b"%b, %b" % (other, page.tag), b" %b " % page.tag, b"*"):
            self.assertTrue(page.is_known(value), value)
        for value in (
            b"",
            b'""',
            other,
            b"W/" + other,
            page.tag.strip(b'"'),
            b"w/" + page.tag,
            b"**",
            b",,",
            b"*,*",
            b"W/*",
        ):
            self.assertFalse(page.is_known(value), value)

    @unhurried
    @given(st.binary(max_size=60))
    def test_any_header(self, value: bytes) -> None:
        """Any header is an answer; only the asterisk knows what it has never seen."""
        self.assertEqual(Page.of(b"one").is_known(value), value.strip() == b"*")


@define(eq=False)
class SlowBroker:
    """A broker whose catalog comes when the test says so."""

    read: Deferred[dict[str, Any]] = Factory(Deferred)

    async def catalog(self) -> dict[str, Any]:
        """Return the catalog."""
        return await self.read


class FreshTests(SynchronousTestCase):
    """How long a page is kept."""

    def setUp(self) -> None:
        """Begin to read a page."""
        self.clock = Clock()
        self.broker = SlowBroker()
        self.page = CatalogPage(cast("ServiceBroker", self.broker), self.clock)
        self.reading = Deferred.fromCoroutine(self.page.read())

    def test_kept(self) -> None:
        """A page is kept for a moment, and then read again."""
        self.assertIsNone(self.page.fresh())
        self.broker.read.callback({"services": []})
        self.assertEqual(self.successResultOf(self.reading), Page.of(b'{"services":[]}'))
        self.assertEqual(self.page.fresh(), Page.of(b'{"services":[]}'))
        self.clock.advance(FRESH)
        self.assertIsNone(self.page.fresh())

    def test_changed(self) -> None:
        """A page is not kept when the catalog has changed, even while it was being read."""
        self.page.changed()
        self.broker.read.callback({"services": []})
        self.assertEqual(self.successResultOf(self.reading), Page.of(b'{"services":[]}'))
        self.assertIsNone(self.page.fresh())
        self.successResultOf(Deferred.fromCoroutine(self.page.read()))
        self.assertIsNotNone(self.page.fresh())
        self.page.changed()
        self.assertIsNone(self.page.fresh())


class ConditionTests(SynchronousTestCase):
    """GET /v2/catalog with a condition."""

    def setUp(self) -> None:
        """Start a broker and read its catalog."""
        self.stack = Stack()
        self.first = self.catalog()
        self.tag = self.first.header("etag") or ""

    def catalog(self, tag: str | None = None, method: str = "GET") -> Answer:
        """Read the catalog, unless it has the tag."""
        return self.stack.request(method, "/v2/catalog", headers={"If-None-Match": tag})

    def test_tag(self) -> None:
        """The tag is strong, and the same whether the page was read or kept."""
        self.assertRegex(self.tag, r'\A"[0-9a-f]+"\Z')
        for pause in (0.0, FRESH):
            self.stack.advance(pause)
            again = self.catalog()
            self.assertEqual(
                (again.status, again.header("etag"), again.body), (200, self.tag, self.first.body)
            )

    def test_not_modified(self) -> None:
        """Who has the catalog gets 304, its tag and no body, by GET and by HEAD, kept or read anew."""
        for pause in (0.0, FRESH):
            self.stack.advance(pause)
            for tag in (self.tag, f"W/{self.tag}", f'"x", {self.tag}', "*"):
                for method in ("GET", "HEAD"):
                    answer = self.catalog(tag, method)
                    self.assertEqual((answer.status, answer.body), (304, b""))
                    self.assertEqual(answer.header("etag"), self.tag)
                    self.assertIsNone(answer.header("content-length"))

    def test_several_headers(self) -> None:
        """Tags may be spread over several headers."""
        tag = self.tag.encode()
        for tags in ((b'"x"', tag), (tag, b'"x"')):
            connection = Connection(self.stack)
            connection.head(*(b"If-None-Match: " + one for one in tags), request=b"GET /v2/catalog")
            self.assertTrue(connection.received().startswith(b"HTTP/1.1 304 "))

    def test_modified(self) -> None:
        """A catalog that has changed is answered in full, with another tag."""
        self.stack.request("PUT", "/docker/image/other", {"Name": "other", "Plan": "1", "Numinstances": 1})
        answer = self.catalog(self.tag)
        self.assertEqual(answer.status, 200)
        self.assertEqual(len(answer.json["services"]), 2)
        self.assertNotIn(answer.header("etag"), (None, self.tag))

    def test_modified_by_another_broker(self) -> None:
        """What another broker changed is seen when the page is not fresh any more."""
        self.stack.add_definition(renamed(REDIS, "other"))
        self.assertEqual(self.catalog(self.tag).status, 304)
        self.stack.advance(FRESH)
        self.assertEqual(self.catalog(self.tag).status, 200)

    def test_other_conditions(self) -> None:
        """A tag of something else, and conditions that are not looked at, get the catalog."""
        for headers in (
            {"If-None-Match": '"x"'},
            {"If-None-Match": "junk"},
            {"If-Modified-Since": "Thu, 01 Jan 2099 00:00:00 GMT"},
            {"Range": "bytes=0-1"},
            {"If-Match": '"x"'},
            {"Expect": "200-ok"},
        ):
            answer = self.stack.request("GET", "/v2/catalog", headers=headers)
            self.assertEqual((answer.status, answer.body), (200, self.first.body))

    def test_head(self) -> None:
        """HEAD is answered with the tag and the length, and without the body."""
        answer = self.catalog(method="HEAD")
        self.assertEqual((answer.status, answer.body, answer.header("etag")), (200, b"", self.tag))
        self.assertEqual(answer.header("content-length"), str(len(self.first.body)))

    def test_credentials_come_first(self) -> None:
        """The tag opens nothing."""
        headers = {"If-None-Match": self.tag}
        self.assertEqual(self.stack.request("GET", "/v2/catalog", headers=headers, auth=None).status, 401)
        wrong = {**headers, "X-Broker-API-Version": None}
        self.assertEqual(self.stack.request("GET", "/v2/catalog", headers=wrong).status, 412)
