"""Parameters against the schemas of a plan."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidRequest
from dockerbroker.model.plans import Plan
from dockerbroker.model.schema_rules import DRAFT_4
from dockerbroker.model.schemas import Call, check_parameters
from tests.model.values import unhurried

SCHEMA = {
    "$schema": DRAFT_4,
    "id": "http://example.com/schema",
    "type": "object",
    "required": ["size"],
    "additionalProperties": False,
    "patternProperties": {"^x-": {"type": "string"}},
    "properties": {
        "size": {"enum": [1, 2, 4]},
        "name": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 8},
        "count": {"$ref": "#/definitions/count"},
        "ratio": {"type": ["number", "null"], "maximum": 1, "exclusiveMaximum": True, "multipleOf": 0.25},
        "either": {"anyOf": [{"type": "boolean"}, {"type": "object", "required": ["a"]}]},
        "one": {"oneOf": [{"type": "integer"}, {"type": "number"}]},
        "none": {"not": {"type": "string"}},
        "many": {"type": "array", "uniqueItems": True, "minItems": 1, "items": {"type": "string"}},
        "pair": {"type": "array", "items": [{}], "additionalItems": False},
        "few": {"type": "object", "maxProperties": 1, "additionalProperties": {"type": "string"}},
        "both": {"dependencies": {"a": ["b"]}},
    },
    "definitions": {"count": {"type": "integer", "minimum": 1}},
}
#: What is wrong -> what is said of it.
SENTENCES: dict[str, dict[str, Any]] = {
    "The parameter size is missing.": {},
    "The parameter size must be one of 1, 2, 4.": {"size": 3},
    "The parameter name must be a string.": {"name": 1},
    "The parameter name must match the pattern ^[a-z]+$.": {"name": "hunter22"},
    "The parameter name must have at least 2 characters.": {"name": "a"},
    "The parameter name must have at most 8 characters.": {"name": "abcdefghi"},
    "The parameter count must be at least 1.": {"count": 0},
    "The parameter count must be an integer.": {"count": "hunter"},
    "The parameter ratio must be a number or null.": {"ratio": []},
    "The parameter ratio must be less than 1.": {"ratio": 1},
    "The parameter ratio must be a multiple of 0.25.": {"ratio": 0.3},
    "The parameter either.a is missing.": {"either": {}},
    "The parameter one must be exactly one of the alternatives that the plan's schema allows.": {"one": 1},
    "The parameter none has a value that the plan's schema excludes.": {"none": "hunter"},
    "The parameter many must not hold an item twice.": {"many": ["a", "a"]},
    "The parameter many must have at least 1 item.": {"many": []},
    "The parameter many[1] must be a string.": {"many": ["a", 1]},
    "The parameter pair has more items than the plan's schema allows.": {"pair": [1, 2]},
    "The parameter few must have at most 1 member.": {"few": {"a": "", "b": ""}},
    "The parameter few.a must be a string.": {"few": {"a": 1}},
    "The parameter both lacks a member that goes with one that is there.": {"both": {"a": 1}},
    "The parameter x-1 must be a string.": {"x-1": 1},
    "The parameter 'a\\nb' is not known.": {"a\nb": 1},
}


def plan_with(schema: dict[str, Any], place: str = "service_instance", call: str = "create") -> Plan:
    """Return a plan with one schema."""
    return Plan(id="p", name="p", schemas={place: {call: {"parameters": schema}}})


def nested(depth: int) -> dict[str, Any]:
    """Return an object in objects."""
    found: dict[str, Any] = {}
    for _ in range(depth):
        found = {"a": found}
    return found


class SchemaTests(SynchronousTestCase):
    """What is checked and what is said."""

    def refused(self, schema: dict[str, Any], parameters: dict[str, Any]) -> str:
        """Return the description of the refusal that the parameters must meet."""
        error = self.assertRaises(InvalidRequest, check_parameters, plan_with(schema), "create", parameters)
        description: str = error.description
        return description

    def test_sentences(self) -> None:
        """A wrong parameter is named with what is expected, and its value is not told."""
        for expected, wrong in SENTENCES.items():
            parameters = wrong if expected.endswith("size is missing.") else {"size": 1, **wrong}
            description = self.refused(SCHEMA, parameters)
            self.assertTrue(description.startswith(expected), (expected, description))
            self.assertNotIn("hunter", description)
            self.assertTrue(description.isprintable())

    def test_known_parameters(self) -> None:
        """The refusal of an unknown parameter tells the known ones."""
        self.assertIn("Known are: size, name, count", self.refused(SCHEMA, {"size": 1, "sizes": 1}))

    def test_good(self) -> None:
        """Good parameters pass, and without a schema all do."""
        good = {"size": 4, "name": "abc", "count": 7, "ratio": None, "x-a": "b", "many": ["a", "b"]}
        check_parameters(plan_with(SCHEMA), "create", good)
        check_parameters(Plan(id="p", name="p"), "create", {"any": "thing"})

    def test_call(self) -> None:
        """Each call has a schema of its own."""
        places: tuple[tuple[Call, str, str], ...] = (
            ("create", "service_instance", "create"),
            ("update", "service_instance", "update"),
            ("bind", "service_binding", "create"),
        )
        for call, place, member in places:
            plan = plan_with(SCHEMA, place, member)
            for other, _, _ in places:
                if other == call:
                    self.assertRaises(InvalidRequest, check_parameters, plan, other, {})
                else:
                    check_parameters(plan, other, {})

    def test_endless_patterns(self) -> None:
        """A pattern that backtracks for ever is matched; too much text for it is refused."""
        schema = {"properties": {"a": {"pattern": "^(a+)+$"}}}
        self.assertIn("must match", self.refused(schema, {"a": "a" * 1000 + "!"}))
        self.assertIn("too large", self.refused(schema, {"a": "a" * 500_000 + "!"}))

    def test_endless_references(self) -> None:
        """References that double with each level of the parameters come to an end."""
        again = {"properties": {"a": {"$ref": "#"}}}
        schema = {"anyOf": [{**again, "required": ["b"]}, {**again, "required": ["c"]}]}
        for members in ({}, {"$schema": DRAFT_4}):
            self.assertIn("too large", self.refused({**schema, **members}, nested(40)))
            self.refused({"$ref": "#", **members}, {})

    def test_draft_behind_a_reference(self) -> None:
        """What a reference leads to is checked by the same rules, also where it names its draft."""
        text = {"pattern": "^(a+)+$", "$schema": DRAFT_4}
        schema = {
            "$schema": DRAFT_4,
            "definitions": {"text": text},
            "properties": {"a": {"$ref": "#/definitions/text"}, "b": {"$ref": "#"}},
        }
        self.assertIn("must match", self.refused(schema, {"a": "a" * 40 + "!"}))
        self.assertIn("b.a must match", self.refused(schema, {"b": {"a": "a" * 40 + "!"}}))

    def test_nothing_is_fetched(self) -> None:
        """A reference to another place is not followed."""
        for reference in ("http://127.0.0.1:1/x", "file:///etc/passwd", "#/nowhere"):
            self.assertIn("cannot be used", self.refused({"$ref": reference}, {}))

    def test_large_numbers(self) -> None:
        """A number that is beyond all calculation is refused and not a defect."""
        self.refused({"properties": {"a": {"multipleOf": 0.1}}}, {"a": 10**400})

    @unhurried
    @given(
        st.dictionaries(
            st.sampled_from([*SCHEMA["properties"], "x-1", "other"]),  # type: ignore[misc]
            st.recursive(
                st.none()
                | st.booleans()
                | st.integers(-1, 5)
                | st.sampled_from([0.25, 1.0, "a", "abc", "A"]),
                lambda inner: (
                    st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner)
                ),
                max_leaves=4,
            ),
            max_size=4,
        )
    )
    def test_same_as_the_library(self, parameters: dict[str, Any]) -> None:
        """What passes here is what passes the library's own keywords."""
        valid = Draft4Validator(SCHEMA).is_valid(parameters)
        try:
            check_parameters(plan_with(SCHEMA), "create", parameters)
        except InvalidRequest:
            self.assertFalse(valid)
        else:
            self.assertTrue(valid)
