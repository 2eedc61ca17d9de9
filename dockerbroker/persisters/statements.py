"""Running statements that change rows: they are compiled once, and then handed to the driver as they are.

SQLAlchemy's own way from a statement to the driver takes longer than the driver takes with it, and all
threads of a broker share one interpreter. Types are not converted on this way: what is written is text,
numbers and truth values, which all drivers take as they are.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from attrs import frozen
from sqlalchemy import Connection, CursorResult, Delete, Dialect, Insert, Update
from sqlalchemy.sql.compiler import SQLCompiler

Parameters = Mapping[str, Any]

#: How many compiled statements are kept, for all databases of a process.
_KEPT: Final = 1000


@frozen
class _Compiled:
    """A statement as the driver knows it.

    `names` are its parameters in their order if it has them by position; `constants` are those that are
    always the same.
    """

    text: str
    names: tuple[str, ...] | None
    constants: Parameters

    def arguments(self, parameters: Parameters) -> Any:
        """Return what the driver is given."""
        if self.names is None:
            return {**self.constants, **parameters} if self.constants else dict(parameters)
        return tuple(parameters[name] if name in parameters else self.constants[name] for name in self.names)


def run(
    connection: Connection,
    statement: Insert | Update | Delete,
    parameters: Parameters | Sequence[Parameters],
) -> CursorResult[Any]:
    """Run a statement once, or once for each of several parameters, which all have the same names."""
    if isinstance(parameters, Mapping):
        compiled = _compiled(statement, connection.dialect, tuple(parameters))
        return connection.exec_driver_sql(compiled.text, compiled.arguments(parameters))
    compiled = _compiled(statement, connection.dialect, tuple(parameters[0]))
    return connection.exec_driver_sql(compiled.text, [compiled.arguments(one) for one in parameters])


@lru_cache(_KEPT)
def _compiled(statement: Any, dialect: Dialect, names: tuple[str, ...]) -> _Compiled:
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    assert isinstance(compiled, SQLCompiler), "it is a statement of SQL"
    order = tuple(compiled.positiontup or ()) if compiled.positional else None
    constants = {name: value for name, value in compiled.params.items() if name not in names}
    return _Compiled(compiled.string, order, constants)
