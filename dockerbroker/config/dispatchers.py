"""Finds the dispatcher that the configuration names, which may be a class of the user's own."""

import importlib
from typing import Any

from dockerbroker.errors import InvalidConfiguration
from dockerbroker.model.dispatchers import DISPATCHERS, Dispatcher


def dispatcher_named(name: str) -> Dispatcher:
    """Return the dispatcher that the configuration names; raises `InvalidConfiguration`, one sentence."""
    if name in DISPATCHERS:
        return DISPATCHERS[name]()
    if ":" not in name:
        known = ", ".join(sorted(DISPATCHERS))
        raise InvalidConfiguration(
            f"{name!r} is not known; use {known}, or a class of your own as package.module:Class"
        )
    return _found(name)


def _found(name: str) -> Dispatcher:
    module_name, _, class_name = name.partition(":")
    try:
        made: Any = getattr(importlib.import_module(module_name), class_name)()
    except Exception as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InvalidConfiguration(f"{name!r} cannot be made ({why})") from error
    if not callable(getattr(made, "order", None)):
        raise InvalidConfiguration(f"{name!r} has no method 'order'")
    dispatcher: Dispatcher = made
    return dispatcher
