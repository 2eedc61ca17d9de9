"""The commands that have to do with credentials: what may be said, and what is done then."""

import sys
from pathlib import Path

import click

from dockerbroker.command import credentials as admitting
from dockerbroker.command.refusing import configured, do, or_refuse
from dockerbroker.model.credentials import Login, check_login, new_password
from dockerbroker.model.roles import Role
from dockerbroker.model.secrets import Secret


@click.group()
def credentials() -> None:
    """Say who may log in as platform, as agent or as administrator, and by which passwords."""


@credentials.command("list")
@configured
@click.pass_context
def list_credentials(context: click.Context, config: Path) -> None:
    """List all credentials; no password is known any more."""
    do(context, config, admitting.list_credentials)


@credentials.command("add")
@configured
@click.option("--role", required=True, type=click.Choice([role.value for role in Role]))
@click.option("--user", required=True, metavar="NAME")
@click.option("--host", default="", metavar="HOST", help="The servicehost for which alone an agent speaks.")
@click.option(
    "--stdin", "is_given", is_flag=True, help="Read the password from the first line of standard input."
)
@click.pass_context
def add_credential(
    context: click.Context, config: Path, role: str, user: str, host: str, *, is_given: bool
) -> None:
    """Let somebody in by a new password, which is shown once; the others of that user stay valid."""
    password = Secret(sys.stdin.readline().rstrip("\n")) if is_given else new_password()
    login = Login(role=Role(role), user=user, password=password, host=host)
    or_refuse(lambda: check_login(login))
    do(context, config, lambda it: admitting.add_credential(it, login, is_made=not is_given))


@credentials.command("remove")
@configured
@click.argument("credential_id", metavar="ID")
@click.pass_context
def remove_credential(context: click.Context, config: Path, credential_id: str) -> None:
    """Let nobody in by a credential any more; the last one of administrators stays."""
    do(context, config, lambda it: admitting.remove_credential(it, credential_id))
