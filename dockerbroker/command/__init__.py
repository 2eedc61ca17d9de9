"""The command `dockerbroker`: it looks at a deployment, and helps where that cannot help itself."""

from dockerbroker.command.line import command
from dockerbroker.command.wiring import Program

__all__ = ["main"]


def main() -> None:
    """Do what the command line says, and leave with 0, 1 when it failed, or 2 when it was not understood."""
    command(obj=Program(), prog_name="dockerbroker")
