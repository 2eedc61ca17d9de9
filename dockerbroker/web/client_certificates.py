"""The certificate of whoever has made a request."""

from twisted.web.server import Request

from dockerbroker.tls.names import ShownCertificate, shown_on


def request_certificate(request: Request) -> ShownCertificate | None:
    """Return the certificate that was shown on the request's connection.

    It is None where the broker asks for none: on plain HTTP, and without `tls.clientca`. What is returned was
    verified by the handshake.
    """
    return shown_on(request.channel.transport)
