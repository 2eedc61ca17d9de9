"""What all commands share: the configuration that they name, and how they say what stands in the way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from dockerbroker.command.deployment import Opener, Work
from dockerbroker.errors import BrokerError

_Made = TypeVar("_Made")
_Decorated = Callable[..., Any]

configured: Callable[[_Decorated], _Decorated] = click.option(
    "-c",
    "--config",
    required=True,
    type=click.Path(path_type=Path),
    help="The broker's configuration file.",
)


class Refusal(click.ClickException):
    """What stands in the way, as one sentence on standard error; the exit status is 1."""

    def show(self, file: Any = None) -> None:
        """Say it."""
        sentence = "".join(one if one.isprintable() else " " for one in self.message)
        click.echo(f"dockerbroker: {sentence}", file=file, err=True)


def or_refuse(make: Callable[[], _Made]) -> _Made:
    """Return what is made; what stands in the way becomes a refusal."""
    try:
        return make()
    except BrokerError as error:
        raise Refusal(error.description) from None


def do(context: click.Context, config: Path, work: Work) -> None:
    """Do the work on the deployment of a configuration file, and end with its exit status."""
    opener: Opener = context.obj
    context.exit(or_refuse(lambda: opener.run(config, work)))
