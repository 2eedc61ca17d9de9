"""The image definitions of a configuration file, or of a file of their own."""

from pathlib import Path

from attrs import frozen

from dockerbroker.config.document import Document, read_document
from dockerbroker.model.catalog import ImageDefinition, collisions
from dockerbroker.model.definitions import read_image
from dockerbroker.model.members import Members, printable

_SERVICES = "services"


@frozen(kw_only=True)
class LoadedImages:
    """The definitions of a file; `warnings` are sentences for whoever wrote it."""

    images: tuple[ImageDefinition, ...]
    warnings: tuple[str, ...]


def load_images(path: Path) -> LoadedImages:
    """Read the definitions of a broker's file, or the one of a file that holds what is PUT by REST.

    Nothing else of a broker's file is looked at. Raises `InvalidConfiguration` with every complaint.
    """
    document = read_document(path)
    top = document.top()
    if top.has(_SERVICES):
        services = document.section(top, _SERVICES)
        images = read_images(document, services)
        document.silence(top, services)
    else:
        images = (read_image(top),)
    return LoadedImages(images=images, warnings=document.finish())


def read_images(document: Document, services: Members) -> tuple[ImageDefinition, ...]:
    """Read the definitions of a broker's file; complaints are left in the document."""
    definitions = document.each(services, "images", read_image)
    complete = [definition for definition in definitions if definition.name and definition.plans]
    for found in collisions(complete):
        services.complain("images", printable(found))
    return definitions
