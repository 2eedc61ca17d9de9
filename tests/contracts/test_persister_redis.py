"""The persister on Redis keeps the promises of `IPersister`, also when every answer is lost once."""

from __future__ import annotations

from tests.contracts import persister
from tests.persisters.redis_fixture import RedisFixture, RepeatingRedisFixture

globals().update(persister.cases_for(__name__, "Redis", RedisFixture.of))
globals().update(persister.cases_for(__name__, "RepeatingRedis", RepeatingRedisFixture.of))
