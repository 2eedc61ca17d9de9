"""Everything under `/admin`: each section, named by the second segment of the path, has routes of its own."""

from collections.abc import Mapping
from typing import Final

from twisted.web.resource import IResource, Resource
from twisted.web.server import Request

from dockerbroker.errors import NotFound
from dockerbroker.web.answers import answer_error, without_body

#: The first segment of the paths.
ADMIN: Final = b"admin"
#: What a catalog of the name `admin` has there.
_IMAGES: Final = (b"image", b"images")


def is_section(segments: list[bytes]) -> bool:
    """Whether a path is one of a section; a catalog may be called `admin` as well."""
    return segments[0] == ADMIN and segments[1:2] not in ([name] for name in _IMAGES)


class Sections(Resource):
    """Sends each request to its section; a new section needs nothing but a resource of its own in here.

    The resource of a section sees the whole path, as every Klein application of this broker does.
    """

    isLeaf = True

    def __init__(self, resources: Mapping[bytes, IResource]) -> None:
        super().__init__()
        self.resources = resources

    def render(self, request: Request) -> bytes | int:
        """Let the section answer."""
        for name in (request.postpath or [])[1:2]:
            if (resource := self.resources.get(name)) is not None:
                rendered: bytes | int = resource.render(request)
                return rendered
        return without_body(request, answer_error(request, NotFound("There is nothing at this path.")))
