"""The types of columns, each with what it must be on every SQL database."""

from typing import Any, Final, TypeVar

from sqlalchemy import BigInteger, Dialect, Integer, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.types import String, TypeDecorator, TypeEngine

LONGEST_IDENTIFIER: Final = 255
_MOST_BYTES: Final = 4 * LONGEST_IDENTIFIER

T = TypeVar("T")

#: A number that the database raises with each row; SQLite does so for `INTEGER` alone.
Number: Final = BigInteger().with_variant(Integer(), "sqlite")


class Identifier(TypeDecorator[str]):
    """Text of up to 255 characters that is compared as exact bytes.

    SQLite and PostgreSQL have a collation for that. Those of MySQL and MariaDB that compare bytes ignore
    spaces at the end or differ in name between the two, so there it is a column of bytes.
    """

    impl = String
    cache_ok = True

    def __init__(self) -> None:
        super().__init__(LONGEST_IDENTIFIER)

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the database's type."""
        if dialect.name in {"mysql", "mariadb"}:
            return dialect.type_descriptor(mysql.VARBINARY(_MOST_BYTES))
        collation = "C" if dialect.name == "postgresql" else "BINARY"
        return dialect.type_descriptor(String(LONGEST_IDENTIFIER, collation=collation))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        """Return what is sent to the database."""
        return value.encode() if value is not None and dialect.name in {"mysql", "mariadb"} else value

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002  (the base class's signature)
        """Return what came from the database as text."""
        return value.decode() if isinstance(value, bytes) else value


def document() -> TypeEngine[str]:
    """Return the type of JSON text of any length."""
    return Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
