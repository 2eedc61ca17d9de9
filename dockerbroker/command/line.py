"""The command line: what may be said, and what is done then."""

import re
from pathlib import Path
from typing import Any

import click

from dockerbroker.command import adopting, moving, worlds
from dockerbroker.command import hosts as housing
from dockerbroker.command import operations as doing
from dockerbroker.command.audit_line import audit
from dockerbroker.command.credential_line import credentials
from dockerbroker.command.deployment import Deployment, Opener, Side
from dockerbroker.command.key_line import keys
from dockerbroker.command.refusing import configured, do, or_refuse
from dockerbroker.config.images import load_images
from dockerbroker.invariants import read_history
from dockerbroker.lifetime.program import own_version
from dockerbroker.model.catalog_rules import complaints, lint

_lines = click.File("r", encoding="utf-8", errors="replace")
_operation = click.argument("operation_id", metavar="ID")
_host = click.argument("host", metavar="HOST")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(own_version(), message="%(prog)s %(version)s")
def command() -> None:
    """Look after a Docker broker for Cloud Foundry.

    Results go to standard output: tables on a terminal, and elsewhere lines with tabs. The exit status is 1
    when something is wrong, and 2 when the command line is.
    """


@command.command("check-world")
@configured
@click.option("--history", type=_lines, help="What a platform asked and was told, as lines of JSON.")
@click.option("--log", type=_lines, help="The broker's log, as lines of JSON.")
@click.option(
    "--settle",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="Look again after so long, and show only what is still wrong.",
)
@click.pass_context
def check_world(context: click.Context, config: Path, history: Any, log: Any, settle: float) -> None:
    """Compare the database with all Docker hosts, and show every breach of an invariant on a line."""
    events = or_refuse(lambda: read_history(history or ()))
    lines = [line.rstrip("\n") for line in log or ()]
    do(
        context,
        config,
        lambda deployment: worlds.check_world(deployment, history=events, log=lines, settle=settle),
    )


@command.command()
@configured
@click.option(
    "--dry-run", is_flag=True, help="Remove nothing; show what has no owner, and why it would stay."
)
@click.option("--force", is_flag=True, help="Remove also what is too much, or unknown to the database.")
@click.pass_context
def reap(context: click.Context, config: Path, *, dry_run: bool, force: bool) -> None:
    """Remove containers and volumes without an owner, once; brokers do that by themselves.

    With --force this is the operator's word that the database is right, which a broker waits for when much
    has no owner at once, or the database does not know how that came to be.
    """
    if dry_run and force:
        raise click.UsageError("--dry-run and --force exclude each other.")

    async def work(deployment: Deployment) -> int:
        if dry_run:
            return await worlds.show_orphans(deployment)
        return await worlds.reap(deployment, forced=force)

    do(context, config, work)


def _cluster(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    if text is not None and not re.fullmatch("[0-9a-f]{32}", text):
        raise click.BadParameter("must have 32 hexadecimal digits.")
    return text


@command.command()
@configured
@click.option("--dry-run", is_flag=True, help="Change nothing; show what would be adopted.")
@click.option(
    "--cluster",
    metavar="ID",
    callback=_cluster,
    help="Give the database, which must be new, this identity first: what the containers bear as the label "
    "dockerbroker.cluster.",
)
@click.pass_context
def adopt(context: click.Context, config: Path, *, dry_run: bool, cluster: str | None) -> None:
    """Make records again of containers whose records were lost with a database.

    After a restore the containers that were made since the backup get records, and those that were replaced
    by updates since get the right ones. The exit status is 1 when an instance stays without its record.
    """
    do(context, config, lambda it: adopting.adopt(it, cluster_id=cluster, dry_run=dry_run))


@command.command("migrate-state")
@click.argument("source", metavar="FROM", type=click.Path(path_type=Path))
@click.argument("target", metavar="TO", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="No broker runs, although leases have not lapsed.")
@click.pass_context
def migrate_state(context: click.Context, source: Path, target: Path, *, force: bool) -> None:
    """Move all records to an empty database of any kind, and compare each of them there.

    FROM and TO are configuration files of the broker; only what they say of the database counts. Stop all
    brokers before. Afterwards no broker can use the former database any more.
    """

    async def work(one: Side, other: Side) -> int:
        return await moving.Move(source=one, target=other, forced=force).run()

    opener: Opener = context.obj
    context.exit(or_refuse(lambda: opener.move(source, target, work)))


@command.group()
def operations() -> None:
    """Show operations, and help those that wait."""


@operations.command("list")
@configured
@click.option("--all", "also_ended", is_flag=True, help="Also those that are over, as far as they are kept.")
@click.pass_context
def list_operations(context: click.Context, config: Path, *, also_ended: bool) -> None:
    """List operations that are not over, those begun last first."""
    do(context, config, lambda it: doing.list_operations(it, unfinished=not also_ended))


@operations.command("show")
@configured
@_operation
@click.pass_context
def show_operation(context: click.Context, config: Path, operation_id: str) -> None:
    """Show all of an operation."""
    do(context, config, lambda it: doing.show_operation(it, operation_id))


@operations.command("retry")
@configured
@_operation
@click.pass_context
def retry_operation(context: click.Context, config: Path, operation_id: str) -> None:
    """Let an operation that waits be tried again at once."""
    do(context, config, lambda it: doing.retry_operation(it, operation_id))


@operations.command("cancel")
@configured
@_operation
@click.pass_context
def cancel_operation(context: click.Context, config: Path, operation_id: str) -> None:
    """Let an operation be undone; deletions cannot be."""
    do(context, config, lambda it: doing.cancel_operation(it, operation_id))


@command.group()
def hosts() -> None:
    """Show Docker hosts, and say on which of them nothing is to be placed.

    HOST is the host's servicehost, or, where several have the same, what `list` shows of it.
    """


@hosts.command("list")
@configured
@click.pass_context
def list_hosts(context: click.Context, config: Path) -> None:
    """List all Docker hosts, and why some of them are not used."""
    do(context, config, housing.list_hosts)


@hosts.command("cordon")
@configured
@_host
@click.pass_context
def cordon_host(context: click.Context, config: Path, host: str) -> None:
    """Let nothing be placed on a host any more; what it has stays."""
    do(context, config, lambda it: housing.cordon_host(it, host, is_cordoned=True))


@hosts.command("uncordon")
@configured
@_host
@click.pass_context
def uncordon_host(context: click.Context, config: Path, host: str) -> None:
    """Let instances be placed on a host again."""
    do(context, config, lambda it: housing.cordon_host(it, host, is_cordoned=False))


@hosts.command("drain")
@configured
@_host
@click.option("--wait", "waits", is_flag=True, help="Until all have moved that can, with progress.")
@click.pass_context
def drain_host(context: click.Context, config: Path, host: str, *, waits: bool) -> None:
    """Let nothing be placed on a host any more, and let its instances move to others with their volumes.

    With --wait the exit status is 1 when some of them stay.
    """
    do(context, config, lambda it: housing.drain_host(it, host, is_draining=True, waits=waits))


@hosts.command("undrain")
@configured
@_host
@click.pass_context
def undrain_host(context: click.Context, config: Path, host: str) -> None:
    """Let those instances of a host stay that have not begun to move; it stays cordoned."""
    do(context, config, lambda it: housing.drain_host(it, host, is_draining=False, waits=False))


@hosts.command("forget")
@configured
@_host
@click.option("--force", is_flag=True, help="Although it has service instances, which stay on record.")
@click.pass_context
def forget_host(context: click.Context, config: Path, host: str, *, force: bool) -> None:
    """Forget a host that does not come back, or that has got another Docker Engine.

    Deletions that wait for it end. If its agent pings, it is a new host.
    """
    do(context, config, lambda it: housing.forget_host(it, host, forced=force))


command.add_command(audit)
command.add_command(keys)
command.add_command(credentials)


@command.group()
def catalog() -> None:
    """Look at catalogs before brokers use them."""


@catalog.command("lint")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.pass_context
def lint_catalog(context: click.Context, files: tuple[Path, ...]) -> None:
    """Show all for which Cloud Foundry would refuse the services of these files, and advice after it.

    A file is a broker's configuration, or one definition as it is PUT by REST. The exit status is 1 when
    something would be refused.
    """
    is_refused = False
    for path in files:
        loaded = or_refuse(lambda path=path: load_images(path))  # type: ignore[misc]
        is_refused = is_refused or bool(complaints(loaded.images))
        for sentence in (*loaded.warnings, *(f"{path}: {one}" for one in lint(loaded.images))):
            click.echo(sentence)
    context.exit(1 if is_refused else 0)
