"""The route by which administrators see for how long the broker's own certificate is still valid."""

from math import floor
from typing import Any, Protocol

from klein.resource import KleinResource
from twisted.web.server import Request

from dockerbroker.model.listings import moment
from dockerbroker.web.answers import new_app
from dockerbroker.web.conditions import answer_known
from dockerbroker.web.parameters import takes


class ShownCertificate(Protocol):
    """The certificate that the broker shows now; the web knows nothing of the files that it is read from."""

    @property
    def fingerprint(self) -> str:
        """Its SHA-256."""

    @property
    def ends(self) -> float:
        """Until when it is valid, in seconds since 1970."""

    @property
    def days_left(self) -> float:
        """For how many days it is still valid."""


class TlsRoutes:
    """What administrators look at of the certificate of the broker that answers; None without TLS."""

    app = new_app()

    def __init__(self, shown: ShownCertificate | None) -> None:
        self._shown = shown

    def resource(self) -> KleinResource:
        """Return the resource of these routes."""
        return self.app.resource()

    @app.route("/admin/tls", methods=["GET"])
    @takes()
    def tls(self, request: Request) -> bytes:
        """Tell which certificate is shown now, and until when it is valid."""
        return answer_known(request, _told(self._shown))


def _told(shown: ShownCertificate | None) -> dict[str, Any]:
    if shown is None:
        return {"IsHTTPS": False}
    return {
        "IsHTTPS": True,
        "Fingerprint": shown.fingerprint,
        "NotAfter": moment(shown.ends),
        "DaysLeft": floor(shown.days_left),
    }
