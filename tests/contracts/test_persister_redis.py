"""The persister on Redis keeps the promises of `IPersister`, on the reactor and where its calls block."""

from __future__ import annotations

from tests.contracts import persister
from tests.persisters.redis_fixture import BlockingRedisFixture, RedisFixture

globals().update(persister.cases_for(__name__, "Redis", RedisFixture.of))
globals().update(persister.cases_for(__name__, "BlockingRedis", BlockingRedisFixture.of))
