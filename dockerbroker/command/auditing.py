"""Exports and verifies the audit log."""

from collections.abc import Iterable, Iterator

import click

from dockerbroker.broker.audit_log import AuditLog
from dockerbroker.command.deployment import Deployment
from dockerbroker.command.showing import tell
from dockerbroker.model.audit import AuditRecord, breaks


async def export(deployment: Deployment, *, after: int) -> int:
    """Write all records after that number to standard output, one in each line."""
    async for record in AuditLog(deployment.persister).all(after):
        click.echo(record.line)
    return 0


async def verify(deployment: Deployment) -> int:
    """Show what is wrong with the log in the database; returns 1 when anything is."""
    verified = await AuditLog(deployment.persister).verify()
    return _told(verified.count, verified.breaks)


def verify_file(lines: Iterable[bytes]) -> int:
    """Show what is wrong with an exported log; returns 1 when anything is, and raises `InvalidRequest`."""
    read: list[int] = []

    def counted() -> Iterator[AuditRecord]:
        for line in lines:
            record = AuditRecord.of_line(line)
            read.append(record.number)
            yield record

    found = list(breaks(counted()))
    return _told(len(read), found)


def _told(count: int, found: Iterable[str]) -> int:
    sentences = list(found)
    for sentence in sentences:
        click.echo(sentence)
    if not sentences:
        tell(f"The chain of {count} records is whole.")
    return 1 if sentences else 0
