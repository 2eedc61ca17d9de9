"""Shows values: as tables on a terminal, and elsewhere as lines that a program can read."""

import sys
from collections.abc import Iterable, Mapping, Sequence

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Show the rows; without a terminal each is a line of fields between tabs, without their names."""
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(_plain(field) for field in row))
        return
    table = Table(*columns, box=None, header_style="bold")
    for row in rows:
        table.add_row(*(Text(_plain(field)) for field in row))
    Console().print(table)


def show_members(members: Mapping[str, str]) -> None:
    """Show each member on a line of its own, after its name and a tab or so many blanks as make columns."""
    width = max(map(len, members), default=0)
    for name, text in members.items():
        start = f"{name}\t" if not sys.stdout.isatty() else f"{name:{width}}  "
        click.echo(start + _plain(text))


def tell(sentence: str) -> None:
    """Tell the operator something that is no result, on standard error."""
    click.echo(_plain(sentence), err=True)


def _plain(text: str) -> str:
    # What comes from an executable or a host must not move the cursor or forge a line.
    return "".join(character if character.isprintable() else " " for character in text)
