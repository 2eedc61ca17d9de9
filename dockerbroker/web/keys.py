"""The route by which administrators read with which keys secrets are encrypted in the database."""

from klein.resource import KleinResource
from twisted.web.server import Request

from dockerbroker.persisters.interfaces import IPersister
from dockerbroker.web.answers import new_app
from dockerbroker.web.conditions import answer_known
from dockerbroker.web.parameters import takes


class KeyRoutes:
    """What administrators look at of keys: their labels, and never a key. They are changed by the command."""

    app = new_app()

    def __init__(self, persister: IPersister) -> None:
        self._persister = persister

    def resource(self) -> KleinResource:
        """Return the resource of these routes."""
        return self.app.resource()

    @app.route("/admin/keys", methods=["GET"])
    @takes()
    async def keys(self, request: Request) -> bytes:
        """Tell which key encrypts, which ones may be needed, and whether that is being changed."""
        found = await self._persister.keys()
        document = {
            **({} if found.primary is None else {"Primary": found.primary}),
            "Keys": [{"Label": label, "IsKnown": known} for label, known in found.labels.items()],
            "IsPlain": found.is_plain,
            "IsSettled": found.is_settled,
        }
        return answer_known(request, document)
