"""Running statements: they are compiled once, and then handed to the driver as they are.

SQLAlchemy's own way from a statement to the driver takes longer than the driver takes with it, and all
threads of a broker share one interpreter. Types are not converted on this way: what is written is text,
numbers and truth values, which all drivers take as they are.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from attrs import frozen
from sqlalchemy import Connection, CursorResult, Delete, Dialect, Insert, Select, Update
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import Double, TypeEngine

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


def fetch(
    connection: Connection, statement: Select[Any], parameters: Parameters = MappingProxyType({})
) -> Sequence[Any]:
    """Return the rows that a statement finds, with the values as the driver gives them; see `reader`."""
    compiled = _compiled(statement, connection.dialect, tuple(parameters))
    return connection.exec_driver_sql(compiled.text, compiled.arguments(parameters)).all()


@lru_cache(_KEPT)
def reader(statement: Select[Any], dialect: Dialect) -> Callable[[Sequence[Any]], dict[str, Any]]:
    """Return what makes of a row of that statement its columns, converted by their types."""
    columns = [(str(column.key), _converter(column.type, dialect)) for column in statement.selected_columns]

    def read(row: Sequence[Any]) -> dict[str, Any]:
        pairs = zip(columns, row, strict=True)
        return {key: value if convert is None else convert(value) for (key, convert), value in pairs}

    return read


def _converter(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    if isinstance(kind, Double):
        # Drivers make numbers of them by themselves.
        return None
    return kind.dialect_impl(dialect).result_processor(dialect, None)


@lru_cache(_KEPT)
def _compiled(statement: Any, dialect: Dialect, names: tuple[str, ...]) -> _Compiled:
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    assert isinstance(compiled, SQLCompiler), "it is a statement of SQL"
    order = tuple(compiled.positiontup or ()) if compiled.positional else None
    constants = {name: value for name, value in compiled.params.items() if name not in names}
    return _Compiled(compiled.string, order, constants)
