"""What a violation of a JSON schema says to a `cf` user: the parameter and what is expected, no value."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from dockerbroker import wire

_MOST_NAMED: Final = 20
_LONGEST_NAME: Final = 100
_LONGEST_PLACE: Final = 300
_LONGEST_SHOWN: Final = 500


def sentence(error: Any) -> str:
    """Return one line for a `jsonschema.ValidationError`."""
    path = list(error.absolute_path)
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"The parameter {_place([*path, *missing[:1]])} is missing."
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        hint = f" Known are: {_named(known)}." if known else ""
        return f"The parameter {_place(path)} is not known.{hint}"
    subject = f"The parameter {_place(path)}" if path else "The object of the parameters"
    return f"{subject} {_expectation(error)}."


def _expectation(error: Any) -> str:
    say = _SAYINGS.get(error.validator)
    text = _UNNAMED if say is None else say(error.validator_value, error.schema)
    return text if len(text) <= _LONGEST_SHOWN else _UNNAMED


def _place(path: Iterable[Any]) -> str:
    text = ""
    for token in path:
        if isinstance(token, int):
            text += f"[{token}]"
        else:
            text += f".{_name(token)}" if text else _name(token)
    return text if len(text) <= _LONGEST_PLACE else f"{text[:_LONGEST_PLACE]}..."


def _name(name: str) -> str:
    short = name[:_LONGEST_NAME]
    return short if short and short.isprintable() else ascii(short)


def _named(names: Iterable[Any]) -> str:
    shown = [_name(name) for name in names]
    more = ["..."] if len(shown) > _MOST_NAMED else []
    return ", ".join([*shown[:_MOST_NAMED], *more])


def _shown(value: Any) -> str:
    return wire.encode(value).decode("utf-8")


def _counted(least_or_most: str, what: str) -> Callable[[Any, Any], str]:
    def say(count: Any, _: Any) -> str:
        return f"must have at {least_or_most} {count} {what}{'' if count == 1 else 's'}"

    return say


def _type(wanted: Any, _: Any) -> str:
    articles = {"integer": "an integer", "object": "an object", "array": "an array", "null": "null"}
    kinds = [wanted] if isinstance(wanted, str) else wanted
    return f"must be {' or '.join(articles.get(kind, f'a {kind}') for kind in kinds)}"


def _minimum(bound: Any, schema: Mapping[str, Any]) -> str:
    return f"must be {'more than' if schema.get('exclusiveMinimum') else 'at least'} {_shown(bound)}"


def _maximum(bound: Any, schema: Mapping[str, Any]) -> str:
    return f"must be {'less than' if schema.get('exclusiveMaximum') else 'at most'} {_shown(bound)}"


_UNNAMED: Final = "is not what the plan's schema allows"
_SAYINGS: Final[Mapping[str, Callable[[Any, Any], str]]] = {
    "type": _type,
    "enum": lambda values, _: f"must be one of {', '.join(_shown(value) for value in values)}",
    "minimum": _minimum,
    "maximum": _maximum,
    "multipleOf": lambda divisor, _: f"must be a multiple of {_shown(divisor)}",
    "pattern": lambda pattern, _: f"must match the pattern {pattern}",
    "minLength": _counted("least", "character"),
    "maxLength": _counted("most", "character"),
    "minItems": _counted("least", "item"),
    "maxItems": _counted("most", "item"),
    "minProperties": _counted("least", "member"),
    "maxProperties": _counted("most", "member"),
    "uniqueItems": lambda *_: "must not hold an item twice",
    "additionalItems": lambda *_: "has more items than the plan's schema allows",
    "not": lambda *_: "has a value that the plan's schema excludes",
    "anyOf": lambda *_: "is none of the alternatives that the plan's schema allows",
    "oneOf": lambda *_: "must be exactly one of the alternatives that the plan's schema allows",
    "dependencies": lambda *_: "lacks a member that goes with one that is there",
}
