"""How records of the audit log are kept: the columns of every database."""

from collections.abc import Mapping
from typing import Any

from dockerbroker.model.audit import AuditRecord


def audit_row(identifier: str, record: AuditRecord) -> dict[str, Any]:
    """Return the columns of a record; `identifier` is that of its entry."""
    return {
        "number": record.number,
        "id": identifier,
        "document": record.content,
        "previous": record.previous,
        "hash": record.hash,
    }


def read_audit(row: Mapping[str, Any]) -> AuditRecord:
    """Return the record of a row."""
    return AuditRecord(
        number=row["number"], content=row["document"], previous=row["previous"], hash=row["hash"]
    )
