"""What a JSON schema of a plan must be like: Cloud Controller's rules, and what makes it safe to use."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from dockerbroker import wire
from dockerbroker.errors import InvalidRequest
from dockerbroker.model.members import printable
from dockerbroker.model.patterns import read_pattern

#: The one draft that every platform supports (OSB section Schemas Object).
DRAFT_4: Final = "http://json-schema.org/draft-04/schema#"
LARGEST_SCHEMA: Final = 65_536
#: So many references may lead from one to the next without anything of the parameters being looked at.
_LONGEST_CHAIN: Final = 16
_MOST_SHOWN: Final = 200

_SCHEMAS_BY_NAME: Final = ("definitions", "properties", "patternProperties", "dependencies")
_SCHEMAS_IN_ROW: Final = ("allOf", "anyOf", "oneOf")
_SINGLE_SCHEMAS: Final = ("items", "additionalItems", "additionalProperties", "not")


def schema_complaints(schema: Any) -> list[str]:
    """Return what is wrong with a schema; each sentence goes on after its place and a colon."""
    if not isinstance(schema, dict):
        return ["must be a JSON schema, an object"]
    if len(wire.encode(schema)) > LARGEST_SCHEMA:
        return [f"is larger than {LARGEST_SCHEMA} bytes of JSON; make it smaller"]
    named = schema.get("$schema")
    if not isinstance(named, str) or named.removesuffix("#") != DRAFT_4.removesuffix("#"):
        return [f"must have the member $schema with the value {DRAFT_4}"]
    found = list(_against_metaschema(schema)) or [*_unsafe(schema), *_endless(schema)]
    return [printable(sentence) for sentence in found]


def resolve(root: Mapping[str, Any], reference: str) -> Any:
    """Return what a local reference points to, or None."""
    if reference in {"#", "#/"}:
        return root if reference == "#" else root.get("")
    if not reference.startswith("#/"):
        return None
    found: Any = root
    for token in unquote(reference[2:]).split("/"):
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(key)
        elif isinstance(found, list) and key.isascii() and key.isdigit() and len(key) < len("10000"):
            found = found[int(key)] if int(key) < len(found) else None
        else:
            return None
    return found


def _against_metaschema(schema: Mapping[str, Any]) -> Iterator[str]:
    # It reads files and takes 2 MiB of memory: only brokers whose plans have schemas pay for it.
    from jsonschema import Draft4Validator  # noqa: PLC0415

    for error in Draft4Validator(Draft4Validator.META_SCHEMA).iter_errors(schema):
        place = "".join(f"/{token}" for token in error.absolute_path)
        yield f"is no JSON schema of draft 4: {place or 'it'}: {error.message[:_MOST_SHOWN]}"


def _unsafe(root: Mapping[str, Any]) -> Iterator[str]:
    for place, schema in _subschemas(root):
        if "id" in schema and place != "#":
            yield f"{place}/id gives a part of the schema a base of its own; remove it"
        reference = schema.get("$ref")
        if reference is not None and not _is_local(root, reference):
            yield (
                f"{place}/$ref must point into the schema itself, such as #/definitions/name, "
                "and to what is there"
            )
        for pattern, where in _patterns(schema):
            try:
                read_pattern(pattern)
            except InvalidRequest as error:
                yield f"{place}/{where} is a pattern that this broker does not match: {error.description}"


def _is_local(root: Mapping[str, Any], reference: Any) -> bool:
    return isinstance(reference, str) and isinstance(resolve(root, reference), dict)


def _patterns(schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if isinstance(pattern := schema.get("pattern"), str):
        yield pattern, "pattern"
    if isinstance(patterns := schema.get("patternProperties"), dict):
        for key in patterns:
            yield key, "patternProperties"


def _subschemas(root: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every schema inside, with its place; also what only references make a schema."""
    waiting: list[tuple[str, Any]] = [("#", root)]
    seen: set[int] = set()
    while waiting:
        place, schema = waiting.pop()
        if not isinstance(schema, dict) or id(schema) in seen:
            continue
        seen.add(id(schema))
        yield place, schema
        waiting.extend((f"{place}/{where}", inner) for where, inner in _parts(schema))
        if isinstance(reference := schema.get("$ref"), str):
            waiting.append((reference, resolve(root, reference)))


def _parts(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key in (*_SCHEMAS_BY_NAME, *_SCHEMAS_IN_ROW, *_SINGLE_SCHEMAS):
        value = schema.get(key)
        if key in _SCHEMAS_BY_NAME and isinstance(value, dict):
            yield from ((f"{key}/{name}", inner) for name, inner in value.items())
        elif isinstance(value, list):
            yield from ((f"{key}/{index}", inner) for index, inner in enumerate(value))
        elif isinstance(value, dict):
            yield key, value


def _endless(root: Mapping[str, Any]) -> Iterator[str]:
    """Yield a complaint when references go round, or too far, at one place of the parameters."""
    frontier = [schema for _, schema in _subschemas(root)]
    for _ in range(_LONGEST_CHAIN + 1):
        referring = [schema for schema in frontier if isinstance(schema.get("$ref"), str)]
        if not referring:
            return
        frontier = _beside(resolve(root, schema["$ref"]) for schema in referring)
    yield f"has references that go round in a circle, or through more than {_LONGEST_CHAIN} others"


def _beside(schemas: Iterable[Any]) -> list[Mapping[str, Any]]:
    """Return the schemas, and those inside them that look at the same value; each once."""
    found: dict[int, Mapping[str, Any]] = {}
    waiting = list(schemas)
    while waiting:
        schema = waiting.pop()
        if not isinstance(schema, dict) or id(schema) in found:
            continue
        found[id(schema)] = schema
        for key in _SCHEMAS_IN_ROW:
            waiting.extend(schema.get(key) or ())
        waiting.append(schema.get("not"))
        waiting.extend((schema.get("dependencies") or {}).values())
    return list(found.values())
