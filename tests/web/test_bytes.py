"""Streams of requests with faults: the broker sees in them what a strict reader sees, and nothing else."""

import os
import random
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from tests.web.recording import Line, Recorder, recording_site, replies
from tests.web.strict_parser import Read, read

#: `DOCKERBROKER_TRIALS` multiplies them.
TRIALS: Final = 4000 * int(os.environ.get("DOCKERBROKER_TRIALS", "1"))
SEED: Final = int(os.environ.get("DOCKERBROKER_SEED", "6"))

METHODS: Final = (b"GET", b"PUT", b"POST", b"DELETE", b"HEAD", b"PATCH", b"OPTIONS", b"get", b"X-Y")
TARGETS: Final = (b"/v2/catalog", b"/v2/x?a=b", b"/slow", b"/v2/%41", b"/v2/%zz", b"http://a/v2", b"*", b"/")
VERSIONS: Final = (*[b"HTTP/1.1"] * 8, b"HTTP/1.0", b"HTTP/2.0")
HEADERS: Final = (
    b"Host: b",
    b"X-A: 1",
    b"X-B:\t\xc3\xa4 ",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Content-Type: application/json",
    b"Content-Type: text/plain",
    b"Content-Encoding: identity",
    b"Content-Encoding: gzip",
    b"Content-Length: 3",
    b"Content-Length: 0",
    b"Content-Length: 03",
    b"content-length: 3",
    b"Transfer-Encoding: chunked",
    b"transfer-encoding: Chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding : chunked",
    b"Expect: 100-continue",
    b"Trailer: x",
    b"Upgrade: h2c",
    b"Origin: null",
    b" folded",
    b"X",
)
#: What is put where it may do harm.
INSERTED: Final = (
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\x00",
        b" ",
        b"\t",
        b":",
        b"0",
        b"\r\n\r\n",
        b"\r\n \r\n",
        b";",
        b"\x0b",
        b"\xa0",
    ),
    *(b"0\r\n\r\n", b"GET /v2/smuggled HTTP/1.1\r\nHost: a\r\n\r\n", b"Content-Length: 5\r\n", b"HTTP/1.1"),
    b"Transfer-Encoding: chunked\r\n",
)
MOST_PIECES: Final = 5


class Streams:
    """Streams of requests, most of which have a fault."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 (it is to be the same again)

    def stream(self) -> bytes:
        """Return a few requests behind each other, perhaps with bytes put in, left out or doubled."""
        chance = self._random
        data = b"".join(self._request() for _ in range(chance.randint(1, 4)))
        while chance.random() < 0.3:
            place = chance.randrange(len(data))
            end = place + chance.choice((0, 0, 1, 2, 20))
            again = data[place:end] * chance.choice((0, 0, 2))
            data = data[:place] + chance.choice((again, chance.choice(INSERTED))) + data[end:]
            if not data:
                break
        return data

    def pieces(self, data: bytes) -> list[bytes]:
        """Return the stream cut into packets."""
        cuts = sorted(self._random.randint(0, len(data)) for _ in range(self._random.randrange(MOST_PIECES)))
        return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    def _request(self) -> bytes:
        chance = self._random
        method, version = self._usually(METHODS[:6], METHODS), chance.choice(VERSIONS)
        line = b" ".join([method, self._usually(TARGETS[:4], TARGETS), version])
        headers = [self._usually(HEADERS[1:8], HEADERS) for _ in range(chance.randrange(3))]
        body = b""
        if method in {b"PUT", b"POST", b"PATCH"}:
            # The kind is said, as administrators must.
            framing, body = chance.choice((self._chunked, self._measured))()
            headers += [b"Content-Type: application/json", framing]
        chance.shuffle(headers)
        return b"\r\n".join([line, b"Host: a", *headers, b"", body])

    def _usually(self, good: tuple[bytes, ...], every: tuple[bytes, ...]) -> bytes:
        return self._random.choice(good if self._random.random() < 0.9 else every)

    def _measured(self) -> tuple[bytes, bytes]:
        body = self._random.choice(
            (b"", b"{}", b"abc", b"GET /v2/smuggled HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n")
        )
        return b"Content-Length: %d" % len(body), body

    def _chunked(self) -> tuple[bytes, bytes]:
        chance = self._random
        chunks = [chance.choice((b"{}", b"abc", b"\r\n", b"0\r\n\r\n")) for _ in range(chance.randrange(4))]
        sizes = [chance.choice((b"%x", b"%X", b"00%x", b"%x;a=b")) % len(chunk) for chunk in chunks]
        parts = [size + b"\r\n" + chunk + b"\r\n" for size, chunk in zip(sizes, chunks, strict=True)]
        return b"Transfer-Encoding: chunked", b"".join([*parts, b"0\r\n\r\n"])


class StreamTests(SynchronousTestCase):
    """One connection for each stream."""

    def test_same_requests(self) -> None:
        """Handlers see the requests that a strict reader sees, and the client gets an answer to each of them.

        What is to be refused has one more answer, behind which there is nothing.
        """
        streams = Streams(SEED)
        counts = {"requests": 0, "refused": 0}
        for trial in range(TRIALS):
            data = streams.stream()
            pieces = streams.pieces(data)
            expected = read(data)
            counts["requests"] += len(expected.requests)
            counts["refused"] += expected.is_refused
            self.compare(pieces, expected, f"trial {trial} of seed {SEED}: {pieces}")
        # Neither of the two is rare.
        self.assertGreater(counts["requests"], TRIALS / 2)
        self.assertGreater(counts["refused"], TRIALS / 4)

    def compare(self, pieces: list[bytes], expected: Read, told: str) -> None:
        """Send a stream, and compare what became of it with what is in it."""
        site = recording_site()
        recorder = site.resource
        assert isinstance(recorder, Recorder)
        line = Line(site)
        line.send(*pieces)
        while recorder.waiting:
            recorder.let_go()
        self.assertEqual(recorder.seen, expected.requests, told)
        found = replies(line.wire.value(), [request.method for request in recorder.seen])
        statuses = [reply.status for reply in found]
        good = [200] * len(expected.requests)
        refused = statuses[len(good) :]
        self.assertEqual(statuses[: len(good)], good, told)
        # Of a request that is cut off somewhere, enough may be there to refuse it.
        counts = (0, 1) if expected.is_cut else (1,) if expected.is_refused else (0,)
        self.assertIn(len(refused), counts, told)
        self.assertTrue(all(400 <= status < 500 for status in refused), told)
        self.assertTrue(line.wire.is_closed or not refused, told)
