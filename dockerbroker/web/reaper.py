"""The routes by which administrators look at what nobody owns, and let it be removed."""

from typing import Any

from klein.resource import KleinResource
from twisted.web.server import Request

from dockerbroker.broker.sweeping import Survey, Sweep, Sweeps
from dockerbroker.model.listings import moment
from dockerbroker.model.orphans import Orphan
from dockerbroker.model.standing import host_id
from dockerbroker.web.answers import answer, new_app
from dockerbroker.web.conditions import answer_known
from dockerbroker.web.origins import origin_of
from dockerbroker.web.parameters import takes
from dockerbroker.web.query import Query


class ReaperRoutes:
    """What administrators ask of the reaper; the last sweep is that of the broker that answers."""

    app = new_app()

    def __init__(self, sweeps: Sweeps) -> None:
        self._sweeps = sweeps

    def resource(self) -> KleinResource:
        """Return the resource of these routes."""
        return self.app.resource()

    @app.route("/admin/orphans", methods=["GET"])
    @takes()
    async def orphans(self, request: Request) -> bytes:
        """Tell what nobody owns, and whether it would be removed."""
        return answer_known(request, _survey(await self._sweeps.survey()))

    @app.route("/admin/reaper", methods=["GET"])
    @takes()
    async def last(self, request: Request) -> bytes:
        """Tell how the last sweep goes, or how it has ended."""
        return answer_known(request, _sweep(self._sweeps.last))

    @app.route("/admin/reaper", methods=["POST"])
    @takes("force")
    async def start(self, request: Request) -> bytes:
        """Let what nobody owns be removed."""
        forced = Query.of(request.uri).flag("force")
        sweep = self._sweeps.start(forced=forced, origin=origin_of(request))
        return answer(request, 202, _sweep(sweep))


def _orphan(orphan: Orphan) -> dict[str, Any]:
    return {
        "Kind": orphan.kind.value,
        "ID": orphan.id,
        "Host": host_id(orphan.host.key),
        "Instance": orphan.instance_id,
    }


def _survey(survey: Survey) -> dict[str, Any]:
    document: dict[str, Any] = {
        "Orphans": [{**_orphan(one), "What": verdict.value} for one, verdict in survey.found],
        "Unseen": [{"Host": host, "Why": why} for host, why in sorted(survey.unseen.items())],
    }
    return document if survey.excess is None else {**document, "Refusal": survey.excess}


def _sweep(sweep: Sweep | None) -> dict[str, Any]:
    if sweep is None:
        return {"IsUnderWay": False}
    document: dict[str, Any] = {
        "IsUnderWay": sweep.ended_at is None,
        "IsForced": sweep.forced,
        "BegunAt": moment(sweep.begun_at),
    }
    if sweep.ended_at is not None:
        document["EndedAt"] = moment(sweep.ended_at)
    if sweep.outcome is not None:
        document["Removed"] = [_orphan(removal.orphan) for removal in sweep.outcome.removals]
        document["Waiting"] = sweep.outcome.waiting
    refusal = sweep.trouble if sweep.outcome is None else sweep.outcome.refusal
    return {**document, "Refusal": refusal} if refusal else document
