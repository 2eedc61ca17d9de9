"""The routes of the certificates by which Docker hosts are reached."""

from klein.resource import KleinResource
from twisted.web.server import Request

from dockerbroker.broker.certificates import Certificates, Check
from dockerbroker.model.certificates import decode_certificate, encode_certificate
from dockerbroker.web.answers import answer, body_of, detached, new_app
from dockerbroker.web.client_certificates import request_certificate
from dockerbroker.web.conditions import Conditions, answer_known, tag_of
from dockerbroker.web.origins import origin_of
from dockerbroker.web.parameters import OF_LISTS, takes
from dockerbroker.web.parts import Wanted, next_part
from dockerbroker.web.principals import principal_of

#: The first segments of these paths.
CERTIFICATE, CERTIFICATES = b"certificate", b"certificates"


class CertificateLists:
    """The same list beside the other ones of administrators, in parts as those are."""

    app = new_app()

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates

    def resource(self) -> KleinResource:
        """Return the resource of these routes."""
        return self.app.resource()

    @app.route("/admin/certificates", methods=["GET"])
    @takes(*OF_LISTS)
    async def certificates(self, request: Request) -> bytes:
        """List the certificates."""
        wanted = Wanted.of(request)
        every = {certificate.host: certificate for certificate in await self._certificates.all()}
        found = next_part(request, wanted, every)
        return answer_known(request, [encode_certificate(certificate) for _, certificate in found])


class CertificateRoutes:
    """What agents and administrators talk to about certificates; keys are never told."""

    app = new_app()

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates

    def resource(self) -> KleinResource:
        """Return the resource of these routes."""
        return self.app.resource()

    @app.route("/certificates", methods=["GET"])
    async def certificates(self, request: Request) -> bytes:
        """List the certificates."""
        found = await self._certificates.all()
        return answer_known(request, [encode_certificate(certificate) for certificate in found])

    @app.route("/certificate/<path:host>", methods=["GET"])
    async def certificate(self, request: Request, host: str) -> bytes:
        """Return what may be told of one certificate."""
        return answer_known(request, encode_certificate(await self._certificates.find(host)))

    @app.route("/certificate/<path:host>", methods=["PUT"])
    async def put_certificate(self, request: Request, host: str) -> bytes:
        """Add or replace a certificate, and tell whether it works."""
        certificate = decode_certificate(host, body_of(request))
        shown = request_certificate(request)
        names = None if shown is None else shown.names
        await self._certificates.check_speaker(principal_of(request), certificate.host, names)
        stored = await detached(self._certificates.put(certificate, _check(request), origin_of(request)))
        trials = [
            {"Docker": trial.address, "Succeeded": not trial.trouble, "Description": trial.trouble}
            for trial in stored.trials
        ]
        told = encode_certificate(certificate)
        request.setHeader(b"etag", tag_of(told))
        document = {**told, "Trials": trials}
        return answer(request, 201 if stored.is_new else 200, document)

    @app.route("/certificate/<path:host>", methods=["DELETE"])
    async def delete_certificate(self, request: Request, host: str) -> bytes:
        """Remove a certificate."""
        await detached(self._certificates.delete(host, _check(request), origin_of(request)))
        return answer(request, 200, {})


def _check(request: Request) -> Check | None:
    conditions = Conditions.of(request)
    if not conditions.are_given:
        return None
    return lambda stored: conditions.check(None if stored is None else tag_of(encode_certificate(stored)))
