"""Doing several things at once."""

from collections.abc import Coroutine, Iterable
from typing import Any

from twisted.internet.defer import Deferred


async def together(coroutines: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Return when all have ended; when one raises, or this is cancelled, the others are cancelled."""
    running = [Deferred.fromCoroutine(one) for one in coroutines]
    try:
        for one in running:
            await one
    except Exception:
        for one in running:
            one.addErrback(lambda _: None)
            one.cancel()
        raise
