"""JSON schemas of plans: which ones are refused."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.schema_rules import DRAFT_4, schema_complaints


def with_draft(**members: Any) -> dict[str, Any]:
    """Return a schema of draft 4."""
    return {"$schema": DRAFT_4, **members}


class SchemaRulesTests(SynchronousTestCase):
    """One schema."""

    def test_good(self) -> None:
        """A schema of draft 4 with local references and plain patterns is good; recursive ones are."""
        tree = {"properties": {"left": {"$ref": "#/definitions/a~1b%25"}, "$ref": {"type": "string"}}}
        schema = with_draft(
            id="http://example.com/x",
            definitions={"a/b%": tree},
            allOf=[{"$ref": "#/definitions/a~1b%25"}, {"$ref": "#/allOf/0"}],
            properties={"name": {"pattern": "^[a-z]+(-[a-z]+)*$"}, "id": {"type": "string"}},
        )
        self.assertEqual(schema_complaints(schema), [])
        self.assertEqual(schema_complaints({"$schema": DRAFT_4.removesuffix("#")}), [])

    def test_draft(self) -> None:
        """A schema names draft 4, which all platforms know."""
        for named in (None, 1, "", "http://json-schema.org/draft-07/schema#", "http://example.com/mine"):
            (said,) = schema_complaints({"$schema": named})
            self.assertIn(DRAFT_4, said)
        self.assertIn("an object", schema_complaints([])[0])

    def test_size(self) -> None:
        """A schema of 65536 bytes is good, and one more is too large."""
        empty = len('{"$schema":"","description":""}') + len(DRAFT_4)
        for more, count in ((0, 0), (1, 1)):
            schema = with_draft(description="x" * (65_536 - empty + more))
            self.assertEqual(len(schema_complaints(schema)), count)

    def test_metaschema(self) -> None:
        """Everything that the draft does not allow is told with its place."""
        said = schema_complaints(with_draft(type="strang", properties={"a\n": {"minLength": -1}}))
        self.assertEqual(len(said), 2)
        self.assertIn("/properties/a\\n/minLength", " ".join(said))

    def test_references(self) -> None:
        """References that leave the schema or lead nowhere are refused, wherever they stand."""
        for reference in ("http://example.com/x", "file:///x", "other.json", "#name", "#/no", "#/type", ""):
            for place in ("items", "not", "additionalProperties"):
                said = schema_complaints(with_draft(type="object", **{place: {"$ref": reference}}))
                self.assertIn(f"#/{place}/$ref", " ".join(said))
        hidden = with_draft(**{"x-other": {"$ref": "http://x/"}, "items": {"$ref": "#/x-other"}})
        self.assertEqual(len(schema_complaints(hidden)), 1)

    def test_circles(self) -> None:
        """References that come back to where they began without looking at less are refused."""
        for members in (
            {"$ref": "#"},
            {"definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"not": {"$ref": "#/definitions/a"}}}},
            {"properties": {"a": {"anyOf": [{"$ref": "#/properties/a"}]}}},
            {"dependencies": {"a": {"$ref": "#"}}},
        ):
            (said,) = schema_complaints(with_draft(**members))
            self.assertIn("circle", said)

    def test_bases(self) -> None:
        """An `id` inside would change where references point to."""
        (said,) = schema_complaints(with_draft(properties={"a": {"id": "http://x/"}}))
        self.assertIn("#/properties/a/id", said)

    def test_patterns(self) -> None:
        """Patterns that cannot be matched in linear time are refused."""
        said = schema_complaints(with_draft(pattern="(?=a)", patternProperties={r"(a)\1": {}}))
        self.assertEqual(len(said), 2)
