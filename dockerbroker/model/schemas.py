"""Parameters against the JSON schemas of a plan, with an end in sight whatever they are.

Only names of parameters and what the schema expects are told, never a value: it may be a secret.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal

from attrs import define, field

from dockerbroker.errors import InvalidRequest
from dockerbroker.model.matching import Automaton
from dockerbroker.model.patterns import read_pattern
from dockerbroker.model.plans import Plan
from dockerbroker.model.schema_sentences import sentence

#: The calls that carry parameters.
Call = Literal["create", "update", "bind"]

_PLACES: Final[Mapping[Call, tuple[str, str]]] = {
    "create": ("service_instance", "create"),
    "update": ("service_instance", "update"),
    "bind": ("service_binding", "create"),
}
#: Steps of matching patterns and following references for one set of parameters: a few tenths of a second.
_MOST_STEPS: Final = 500_000
#: Following a reference costs as much as so many steps of matching.
_REFERENCE: Final = 250


def schema_of(schemas: Mapping[str, Any], call: Call) -> Any:
    """Return the schema for the parameters of a call, or None; `schemas` is the plan's object."""
    found: Any = schemas
    for key in (*_PLACES[call], "parameters"):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def check_parameters(plan: Plan, call: Call, parameters: Mapping[str, Any]) -> None:
    """Raise `InvalidRequest` that names the first wrong parameter and what is expected of it.

    Without a schema all parameters are good. Schemas are those of JSON Schema draft 4, with ECMA 262's
    patterns; `format` is not checked.
    """
    schema = schema_of(plan.schemas, call)
    if isinstance(schema, dict):
        _check(schema, dict(parameters))


def _check(schema: dict[str, Any], parameters: dict[str, Any]) -> None:
    # It reads files and takes 2 MiB of memory: only brokers whose plans have schemas pay for it.
    from jsonschema import exceptions  # noqa: PLC0415
    from referencing.exceptions import Unresolvable  # noqa: PLC0415

    try:
        error = exceptions.best_match(_validator(schema).iter_errors(parameters))
    except (RecursionError, OverflowError):
        raise InvalidRequest("The parameters are nested too deeply or hold too large a number.") from None
    except Unresolvable:
        raise InvalidRequest("The plan's schema for the parameters cannot be used.") from None
    if error is not None:
        raise InvalidRequest(sentence(error))


def _validator(schema: dict[str, Any]) -> Any:
    from jsonschema import Draft4Validator, validators  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415

    follow: Any = Draft4Validator.VALIDATORS["$ref"]
    keywords = _Keywords(follow)
    bounded = validators.extend(
        Draft4Validator,
        {
            "$ref": keywords.reference,
            "pattern": keywords.pattern,
            "patternProperties": keywords.pattern_properties,
            "additionalProperties": keywords.additional_properties,
            "uniqueItems": keywords.unique_items,
        },
    )
    # Where a reference leads to a `$schema`, the library would go on with the draft's own keywords, and its
    # own registry would fetch what it does not know.
    return bounded(_without_draft(schema), registry=Registry())


def _without_draft(schema: Any) -> Any:
    """Return a schema in which nothing names a draft."""
    if isinstance(schema, list):
        return [_without_draft(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: inner if key == "enum" else _without_draft(inner)
        for key, inner in schema.items()
        if key != "$schema" or not isinstance(inner, str)
    }


@define(eq=False)
class _Keywords:
    """The keywords of draft 4 whose work could grow faster than schema and parameters; it is counted."""

    follow: Callable[..., Iterator[Any]]
    steps: int = 0
    automata: dict[str, Automaton] = field(factory=dict)

    def spend(self, steps: int) -> None:
        """Count; raises `InvalidRequest` when it has been enough."""
        self.steps += steps
        if self.steps > _MOST_STEPS:
            raise InvalidRequest("The parameters are too large to be checked against the plan's schema.")

    def matches(self, pattern: str, text: str) -> bool:
        """Whether the pattern matches somewhere in the text."""
        if pattern not in self.automata:
            self.automata[pattern] = read_pattern(pattern)
        return self.automata[pattern].found(text, self.spend)

    def reference(self, validator: Any, reference: str, instance: Any, schema: Any) -> Iterator[Any]:
        """Check against what the reference points to."""
        self.spend(_REFERENCE)
        yield from self.follow(validator, reference, instance, schema) or ()

    def pattern(self, validator: Any, pattern: str, instance: Any, _: Any) -> Iterator[Any]:
        """Search a string for the pattern."""
        if validator.is_type(instance, "string") and not self.matches(pattern, instance):
            yield _failure()

    def pattern_properties(
        self, validator: Any, patterns: Mapping[str, Any], instance: Any, _: Any
    ) -> Iterator[Any]:
        """Check the members whose names match against the pattern's schema."""
        if validator.is_type(instance, "object"):
            for pattern, inner in patterns.items():
                for name, value in instance.items():
                    if self.matches(pattern, name):
                        yield from validator.descend(value, inner, path=name, schema_path=pattern)

    def additional_properties(
        self, validator: Any, inner: Any, instance: Any, schema: Mapping[str, Any]
    ) -> Iterator[Any]:
        """Check the members that neither `properties` nor `patternProperties` speak of."""
        if not validator.is_type(instance, "object"):
            return
        known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        for name, value in instance.items():
            if name in known or any(self.matches(pattern, name) for pattern in patterns):
                continue
            if isinstance(inner, dict):
                yield from validator.descend(value, inner, path=name)
            elif inner is False:
                yield _failure(name)

    def unique_items(self, validator: Any, unique: Any, instance: Any, _: Any) -> Iterator[Any]:
        """Check that no two items of an array are equal."""
        if unique is not True or not validator.is_type(instance, "array"):
            return
        if len({_hashable(item) for item in instance}) != len(instance):
            yield _failure()


def _failure(name: str | None = None) -> Any:
    from jsonschema import ValidationError  # noqa: PLC0415

    # The message is not shown; `path` names the member that is at fault.
    return ValidationError("", path=() if name is None else (name,))


def _hashable(value: Any) -> Any:
    """Return what is equal for equal JSON values: true is not 1, but 1.0 is."""
    if isinstance(value, dict):
        return "object", frozenset((name, _hashable(inner)) for name, inner in value.items())
    if isinstance(value, list):
        return "array", tuple(_hashable(inner) for inner in value)
    return ("truth" if isinstance(value, bool) else "scalar"), value
