"""One configuration file while it is read: its objects, and what is to be said about them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, field

from dockerbroker.config.private import openness
from dockerbroker.errors import InvalidConfiguration, InvalidRequest
from dockerbroker.model.members import Members, folded
from dockerbroker.wire import decode_object

#: No configuration file is larger than this many bytes.
LARGEST_FILE = 1024 * 1024

#: A listening port, or the port of a server to connect to.
LOWEST_PORT = 1
HIGHEST_PORT = 65535

_Value = TypeVar("_Value")


@define(eq=False)
class Document:
    """Hands out the objects of one file as `Members` and gathers all complaints and warnings.

    Keys are matched without regard to case in every object that is handed out; what is inside
    `credentials` belongs to the service and keeps its case.
    """

    path: Path
    root: dict[str, Any]
    complaints: list[str] = field(factory=list)
    warnings: list[str] = field(factory=list)
    _handed_out: list[Members] = field(factory=list, init=False)

    def top(self) -> Members:
        """Return the members of the whole file."""
        return self.members(self.root, "")

    def section(self, parent: Members, key: str) -> Members:
        """Return the members of the object at the key; they are none when it is absent."""
        return self.members(parent.object(key), f"{parent.where}{key}.")

    def each(self, parent: Members, key: str, read: Callable[[Members], _Value]) -> tuple[_Value, ...]:
        """Read every object of the array at the key; what is no object is a complaint."""
        found: list[_Value] = []
        for index, item in enumerate(parent.array(key)):
            where = f"{parent.where}{key}[{index}]"
            if isinstance(item, dict):
                found.append(read(self.members(item, f"{where}.")))
            else:
                self.complaints.append(f"{where}: must be an object")
        return tuple(found)

    def members(self, document: dict[str, Any], where: str) -> Members:
        """Return the members of an object with its keys in lower case."""
        keys = folded(document, where, self.complaints)
        members = Members(document=keys, where=where, complaints=self.complaints)
        self._handed_out.append(members)
        return members

    def silence(self, *parts: Members) -> None:
        """Give no warnings about the keys of these objects themselves."""
        for members in parts:
            members.seen.update(members.document)

    def finish(self) -> tuple[str, ...]:
        """Return the warnings; raises `InvalidConfiguration` with every complaint, if there are any."""
        if self.complaints:
            raise InvalidConfiguration(f"{self.path}: {'; '.join(self.complaints)}.")
        for members in self._handed_out:
            self.warnings.extend(
                f"{self.path}: {key}: is no known key and is ignored" for key in members.unknown()
            )
        return tuple(self.warnings)


def read_document(path: Path) -> Document:
    """Read a file that must hold one JSON object; raises `InvalidConfiguration`.

    Configuration files hold passwords: one that everybody can read or change is a warning.
    """
    data = _read(path)
    try:
        root = decode_object(data)
    except InvalidRequest as error:
        raise InvalidConfiguration(f"{path}: {error.description}") from None
    document = Document(path=path, root=root)
    document.warnings.extend(openness(path, "passwords"))
    return document


def read_user(members: Members) -> str:
    """Read the user name of a pair of credentials."""
    user = members.text("user", required=True)
    if ":" in user:
        members.complain("user", "must not hold a colon, which ends the user name in basic authentication")
    return user


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidConfiguration(f"{path}: cannot be read: {reason}.") from None
    if len(data) > LARGEST_FILE:
        raise InvalidConfiguration(f"{path}: is larger than {LARGEST_FILE} bytes.")
    return data
