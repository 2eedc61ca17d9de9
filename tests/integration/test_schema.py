"""A running broker answers any request as its OpenAPI schema, `docs/openapi.yaml`, says."""

from __future__ import annotations

from tests.integration.schema_case import EXAMPLES, VERSION, SchemaCase
from tests.platform import schema
from tests.platform.serve import OFFERED


class SchemaTests(SchemaCase):
    """Cases by the schema."""

    def test_headers(self) -> None:
        """Requests with any headers of platforms are answered as the schema says; nothing with 5xx."""
        # A wrong version is told before a wrong method.
        arguments = ("--phases", "coverage", "--exclude-checks", "unsupported_method")
        report = self.examine(schema.offered(schema.read(), OFFERED), *arguments)
        for status in (401, 412):
            self.assertGreater(report.count(status), 0, status)

    def test_every_rule(self) -> None:
        """Each rule of the schema, kept and broken in every way, is answered as it says; nothing with 5xx."""
        document = schema.without_headers(schema.offered(schema.read(), OFFERED))
        report = self.examine(document, "--phases", "coverage", *VERSION)
        for status in (200, 201, 400, 401, 404, 405, 409, 410, 422):
            self.assertGreater(report.count(status), 0, status)
        self.assertGreater(report.statuses.total(), 1000)

    def test_anything(self) -> None:
        """Random requests, good and bad, are answered as the schema says; nothing with 5xx."""
        document = schema.with_few_ids(schema.offered(schema.read(), OFFERED), 20, only=False)
        arguments = ("--phases", "fuzzing", "--max-examples", EXAMPLES)
        report = self.examine(schema.without_headers(document), *arguments, *VERSION)
        for status in (200, 201, 400, 404, 410):
            self.assertGreater(report.count(status), 0, status)

    def test_lives(self) -> None:
        """Good requests to a few ids, in any order, meet every state of a life, and are answered as it is."""
        slow = [definition for definition in OFFERED if definition.name == "slow"]
        document = schema.with_few_ids(schema.offered(schema.read(), slow), 3, only=True)
        document = schema.without_headers(schema.with_asynchronous(document))
        arguments = ("--phases", "fuzzing,stateful", "--mode", "positive", "--max-examples", EXAMPLES)
        report = self.examine(document, *arguments, *VERSION)
        for status in (200, 202, 404, 409, 410, 422):
            self.assertGreater(report.count(status), 0, (status, report.statuses))
