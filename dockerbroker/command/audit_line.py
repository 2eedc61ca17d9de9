"""The commands that have to do with the audit log: what may be said."""

from pathlib import Path
from typing import Any

import click

from dockerbroker.command import auditing
from dockerbroker.command.refusing import configured, do, or_refuse


@click.group()
def audit() -> None:
    """Export the audit log, and see that nobody has changed it."""


@audit.command("export")
@configured
@click.option("--after", type=click.IntRange(min=0), default=0, metavar="NUMBER", help="Only later records.")
@click.pass_context
def export_log(context: click.Context, config: Path, *, after: int) -> None:
    """Write the records as lines of JSON, the oldest first."""
    do(context, config, lambda it: auditing.export(it, after=after))


@audit.command("verify")
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    help="The broker's configuration file: its database is verified.",
)
@click.argument("file", required=False, type=click.File("rb"), metavar="[FILE]")
@click.pass_context
def verify_log(context: click.Context, config: Path | None, file: Any) -> None:
    """See that every record is what it was: in a database, or in a FILE that was exported.

    Each that is not is told; the exit status is 1 then.
    """
    if (config is None) == (file is None):
        raise click.UsageError("Give either --config or a FILE.")
    if config is not None:
        do(context, config, auditing.verify)
    else:
        context.exit(or_refuse(lambda: auditing.verify_file(file)))
