"""The scripts: what they need of a server, and when they do nothing."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.persisters import redis
from dockerbroker.persisters.redis.blocking import BlockingLine
from dockerbroker.persisters.redis.connections import Connection
from dockerbroker.persisters.redis.lanes import decoded
from dockerbroker.persisters.redis.opening import at_once, check_redis
from dockerbroker.persisters.redis.scripts import SERVER_TIME, Effect, load
from dockerbroker.persisters.redis.troubles import COMMANDS
from tests.servers import server

#: What is used without a script.
OUTSIDE = {"select", "info", "config|get", "acl|dryrun", "scan", "time", "eval", "evalsha"}
#: Words of a script that read everything there is, without a limit.
UNBOUNDED = {
    # Those of an hour, and only while records are moved.
    "tombstones": "ZRANGE",
    "certificates": "ZRANGE",
    "credentials": "ZRANGE",
    "delete_credential": "ZRANGE",
    "close": "ZRANGE",
    "erase": "SMEMBERS",
    "fleet": "SMEMBERS",
    "hosts": "SMEMBERS",
    # Only after nobody was there, or when the clock went back.
    "observe": "SMEMBERS",
    # Only for hosts that are not known yet, to count the others, of which there are `mosthosts`.
    "ping": "SMEMBERS",
    "images": "ZRANGE",
    "lessors": "ZRANGE",
    "prelude": "HGETALL",
    "renew": "SMEMBERS",
    # One field for each host; the instances of a service in one space.
    "reserved": "HGETALL",
    # The bindings of the instances at which it looks.
    "sealed": "ZRANGE",
    "neighbours": "HGETALL",
    "writing": "ZRANGE",
}


def sources() -> dict[str, str]:
    """Return the files of the scripts by their names."""
    folder = files(redis).joinpath("lua")
    return {path.name.removesuffix(".lua"): path.read_text() for path in folder.iterdir()}


class SourcesTests(SynchronousTestCase):
    """The texts of the scripts."""

    def test_commands(self) -> None:
        """They run the commands that a user must be allowed, and no others; each is tried at the start."""
        texts = sources()
        trial = texts.pop("trial")
        used = {one.lower() for text in texts.values() for one in re.findall(r"redis\.call\('(\w+)'", text)}
        allowed = set(COMMANDS.replace("+", "").split())
        self.assertEqual(used | OUTSIDE, allowed)
        self.assertEqual({one.lower() for one in re.findall(r"\{ '(\w+)'", trial)} - {"found"}, used)

    def test_all(self) -> None:
        """Every file is a script, or a part of all."""
        shared = {"prelude", "writing", "audit", "reading", "changing"}
        self.assertEqual(set(sources()), shared | set(load()))

    def test_time(self) -> None:
        """The server's own time is used unless another is given; each text has a digest of its own."""
        ordinary, other = load(), load("1 + 1")
        self.assertIn(f"return {SERVER_TIME}\n", ordinary["begin"].source)
        self.assertIn("return 1 + 1\n", other["begin"].source)
        self.assertEqual(
            len({one.digest for one in [*ordinary.values(), *other.values()]}), 2 * len(ordinary)
        )

    def test_unbounded(self) -> None:
        """What is read as a whole is small, or all that was asked for."""
        for name, text in sources().items():
            found = {one for one in ("KEYS", "SCAN") if f"'{one}'" in text}
            found |= {one for one in ("SMEMBERS", "HGETALL") if f"'{one}'" in text and name != "trial"}
            found |= {"ZRANGE"} if "0, -1)" in text else set()
            self.assertEqual(found, {UNBOUNDED[name]} if name in UNBOUNDED else set(), name)


class FramesTests(SynchronousTestCase):
    """What holds for all changes."""

    def setUp(self) -> None:
        """Make a database and connect to it."""
        self.configuration = server("redis").new_database()
        check_redis(self.configuration)
        self.base = f"{{{self.configuration.prefix}}}:"
        self.line = BlockingLine(evolve(self.configuration, pool_size=1))
        self.connection = at_once(Connection.make(self.line, self.configuration, 2.0))
        self.addCleanup(lambda: at_once(self.connection.close()))
        self.scripts = load()

    def run_script(self, name: str, asked: str, lane: str, number: int, seconds: float = 60.0) -> Any:
        """Return the answer to a change that may be made until then."""
        until = f"{self.line.seconds() + self.connection.offset + seconds:.6f}"
        arguments = [asked, lane, str(number), until]
        deadline = self.line.seconds() + 5
        return decoded(at_once(self.connection.run(self.scripts[name], self.base, arguments, deadline)))

    def admin(self, command: str) -> Any:
        """Run a command as administrator; `{}` is what all keys begin with."""
        return server("redis").admin(command.replace("{}", self.base))

    def test_offset(self) -> None:
        """A connection takes the server's time for a little more than it is, never for less."""
        answer = at_once(self.connection.command("TIME", deadline=self.line.seconds() + 5))
        shown = int(answer[0]) + int(answer[1]) / 1_000_000
        taken = self.line.seconds() + self.connection.offset
        self.assertGreater(taken, shown)
        self.assertLess(taken, shown + 60)

    def test_late(self) -> None:
        """A change whose time is over is not made, and the server's time is told."""
        image = '{"rows":[{"name":"a","document":"{}","secret":"{}"}],"catalog":"0","seeding":false}'
        word, now = self.run_script("put_images", image, "lane", 1, seconds=-60.0)
        self.assertEqual(word, "late")
        self.assertLess(abs(float(now) - self.line.seconds() - self.connection.offset), 60)
        self.assertEqual(self.run_script("images", "{}", "", 0), ["found", {}, "0", "0"])
        self.assertEqual(self.run_script("put_images", image, "lane", 1), ["done", "1"])

    def test_again(self) -> None:
        """The same change is answered alike and not made again, also when its time is over by then."""
        image = '{"rows":[{"name":"a","document":"{}","secret":"{}"}],"catalog":"0","seeding":false}'
        for seconds in (60.0, 60.0, -60.0):
            self.assertEqual(self.run_script("put_images", image, "lane", 1, seconds), ["done", "1"])
        self.assertEqual(self.admin("HGET {}deployment catalog"), "1")
        self.assertEqual(self.run_script("put_images", image, "other", 1), ["moved"])

    def test_overtaken(self) -> None:
        """A change that arrives after the next one of its lane is not made."""
        self.run_script("delete_image", '{"name":"a"}', "lane", 1)
        image = '{"rows":[{"name":"a","document":"{}","secret":"{}"}],"catalog":"0","seeding":false}'
        self.assertEqual(self.run_script("put_images", image, "lane", 3), ["done", "1"])
        self.assertEqual(self.run_script("delete_image", '{"name":"a"}', "lane", 2)[0], "late")
        self.assertEqual(self.run_script("delete_image", '{"name":"a"}', "lane", 4), ["done"])

    def test_answers_expire(self) -> None:
        """Only the last answer of each lane is kept, and not for ever."""
        image = '{"rows":[{"name":"a","document":"{}","secret":"{}"}],"catalog":"0","seeding":false}'
        self.run_script("put_images", image, "lane", 1)
        self.run_script("delete_image", '{"name":"a"}', "lane", 2)
        self.assertEqual(self.admin("KEYS {}answer:*"), [f"{self.base}answer:lane"])
        self.assertGreater(self.admin("PTTL {}answer:lane"), 10_000)

    def test_refusals_forgotten(self) -> None:
        """What was refused has changed nothing, and is looked at anew."""
        self.run_script("delete_image", '{"name":"a"}', "lane", 1)
        self.assertEqual(self.admin("KEYS {}answer:*"), [])

    def test_absent(self) -> None:
        """In a database that has lost everything nothing is read or made."""
        self.admin("DEL {}deployment")
        for script in self.scripts.values():
            if script.effect is not Effect.BEGINS:
                self.assertEqual(self.run_script(script.name, "{}", "lane", 1), ["absent"], script.name)
        self.assertEqual(self.admin("KEYS {}*"), [])
