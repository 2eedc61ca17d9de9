"""The commands that have to do with keys: what may be said, and what is done then."""

from pathlib import Path

import click

from dockerbroker.command import keys as keeping
from dockerbroker.command.refusing import configured, do, or_refuse
from dockerbroker.config.keys import add_key, new_label


@click.group()
def keys() -> None:
    """Show and change the keys with which secrets are encrypted in the database."""


@keys.command("generate")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--label", metavar="LABEL", help="What the key is called; a random name otherwise.")
def generate_key(file: Path, label: str | None) -> None:
    """Add a new key to a file of keys, which is made when it is absent, and show its label.

    Nothing uses the key until `rotate` is told to, or a new database begins with the last key of the file.
    """
    chosen = label or new_label()
    or_refuse(lambda: add_key(file, chosen))
    click.echo(chosen)


@keys.command("list")
@configured
@click.pass_context
def list_keys(context: click.Context, config: Path) -> None:
    """List all keys, whether they are used and known here, and how many secrets each has encrypted."""
    do(context, config, keeping.list_keys)


@keys.command("check")
@configured
@click.pass_context
def check_keys(context: click.Context, config: Path) -> None:
    """Decrypt every secret, and show each that cannot be; the exit status is 1 then."""
    do(context, config, keeping.check_keys)


@keys.command("rotate")
@configured
@click.option("--to", "label", metavar="LABEL", help="The key that is to be used, and is there already.")
@click.option(
    "--settle",
    type=click.FloatRange(min=0),
    default=10.0,
    metavar="SECONDS",
    help="How long brokers get to see which key is used now; they look every second.",
)
@click.pass_context
def rotate_keys(context: click.Context, config: Path, *, label: str | None, settle: float) -> None:
    """Encrypt all secrets with another key, while brokers work.

    Without --to that is the last key of the file, or a new one if the last one is used already. If this is
    interrupted, run it again. It also encrypts the secrets of a database that had no key.
    """
    do(context, config, lambda it: keeping.rotate(it, label, settle=settle))


@keys.command("remove")
@configured
@click.argument("label", metavar="LABEL")
@click.pass_context
def remove_key(context: click.Context, config: Path, label: str) -> None:
    """Remove a key from the file, unless secrets need it."""
    do(context, config, lambda it: keeping.remove_label(it, label))
