"""Shows who is let in, lets somebody in, and lets nobody in any more."""

import click
from twisted.internet.defer import execute

from dockerbroker.broker.credentials import Credentials
from dockerbroker.command.deployment import Deployment
from dockerbroker.command.showing import show_table, tell
from dockerbroker.model.audit import command
from dockerbroker.model.credentials import Login, encode_credential

_COLUMNS = ("id", "role", "user", "host", "created")


def _credentials(deployment: Deployment) -> Credentials:
    # Nothing else waits meanwhile in this process.
    return Credentials(deployment.persister, execute, deployment.wall)


async def list_credentials(deployment: Deployment) -> int:
    """List all credentials."""
    told = [encode_credential(one) for one in await _credentials(deployment).all()]
    members = ("ID", "Role", "User", "ServiceHost", "CreatedAt")
    show_table(_COLUMNS, [[str(one.get(member, "")) for member in members] for one in told])
    return 0


async def add_credential(deployment: Deployment, login: Login, *, is_made: bool) -> int:
    """Let somebody in; a password that was made is shown, this once."""
    credential = await _credentials(deployment).add(login, command("credentials add"))
    tell(f"The credential {credential.id} counts for every broker within a second.")
    if is_made:
        click.echo(login.password.reveal())
    return 0


async def remove_credential(deployment: Deployment, credential_id: str) -> int:
    """Let nobody in by a credential any more; raises `NotFound` or `Conflict`."""
    await _credentials(deployment).remove(credential_id, command("credentials remove"))
    tell("It counts for no broker any more within a second.")
    return 0
