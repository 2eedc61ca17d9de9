"""The routes by which administrators say who is let in."""

from klein.resource import KleinResource
from twisted.web.server import Request

from dockerbroker import wire
from dockerbroker.broker.credentials import Admission
from dockerbroker.model.credentials import decode_login, encode_credential
from dockerbroker.web.answers import answer, body_of, detached, new_app
from dockerbroker.web.conditions import answer_known
from dockerbroker.web.origins import origin_of
from dockerbroker.web.parameters import OF_LISTS, takes
from dockerbroker.web.parts import Wanted, next_part


class CredentialRoutes:
    """What administrators talk to about credentials; no password is told but a new one, once."""

    app = new_app()

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    def resource(self) -> KleinResource:
        """Return the resource of these routes."""
        return self.app.resource()

    @app.route("/admin/credentials", methods=["GET"])
    @takes(*OF_LISTS)
    async def credentials(self, request: Request) -> bytes:
        """List the credentials."""
        wanted = Wanted.of(request)
        every = {credential.id: credential for credential in await self._admission.credentials.all()}
        found = next_part(request, wanted, every)
        return answer_known(request, [encode_credential(credential) for _, credential in found])

    @app.route("/admin/credentials", methods=["POST"])
    @takes()
    async def add_credential(self, request: Request) -> bytes:
        """Let somebody in, by a password that is given, or by one that is made and told."""
        login, is_made = decode_login(wire.decode_object(body_of(request)))
        credential = await detached(self._admission.add(login, origin_of(request)))
        document = encode_credential(credential)
        return answer(request, 201, document | ({"Password": login.password.reveal()} if is_made else {}))

    @app.route("/admin/credentials/<credential>", methods=["DELETE"])
    @takes()
    async def remove_credential(self, request: Request, credential: str) -> bytes:
        """Let nobody in by one credential any more."""
        await detached(self._admission.remove(credential, origin_of(request)))
        return answer(request, 200, {})
