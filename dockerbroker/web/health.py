"""Whether the broker is up, and whether it is ready: for load balancers and supervisors."""

from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Final

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from dockerbroker.errors import MethodNotAllowed, Unavailable
from dockerbroker.web.answers import answer, answer_error, send

#: The two paths.
UP: Final = b"healthz"
READY: Final = b"readyz"
#: How long the database may take to answer, in seconds; who asks whether a broker is ready waits for few.
DEADLINE: Final = 2.0

_METHODS: Final = (b"GET", b"HEAD")

Ask = Callable[[], Coroutine[Any, Any, object]]


class Health(Resource):
    """Answers whoever asks, so that it tells nothing but up or down; the log is told why, once a change.

    However many ask for readiness at once, the database is asked once.
    """

    isLeaf = True
    served: ClassVar = tuple(("GET", f"/{name.decode()}") for name in (UP, READY))
    _log: ClassVar[Logger] = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__()
        #: Asks the database something; None until it is open.
        self.ask: Ask | None = None
        #: Why every request is refused although the database answers.
        self.refusal: str | None = None
        #: Whether the broker is ending.
        self.is_ending = False
        self._clock = clock
        self._waiting: list[Deferred[str | None]] = []
        self._told: str | None = None

    def render(self, request: Request) -> int:
        """Tell at once that the broker is up; whether it is ready, when the database has answered."""
        if request.method not in _METHODS:
            request.setHeader(b"allow", b", ".join(_METHODS))
            send(request, answer_error(request, MethodNotAllowed("This path supports GET, HEAD only.")))
        elif request.postpath == [UP]:
            send(request, answer(request, 200, {"status": "up"}))
        else:
            Deferred.fromCoroutine(self._tell_readiness(request))
        return NOT_DONE_YET

    async def _tell_readiness(self, request: Request) -> None:
        gone: list[Failure] = []
        request.notifyFinish().addErrback(gone.append)
        trouble = await self._trouble()
        self._tell_log(trouble)
        if gone:
            return
        if trouble is None:
            send(request, answer(request, 200, {"status": "ready"}))
        else:
            send(request, answer(request, 503, {"status": "not ready"}))

    def _tell_log(self, trouble: str | None) -> None:
        if trouble == self._told:
            return
        self._told = trouble
        if trouble is None:
            self._log.info("the broker is ready again")
        else:
            self._log.warn("the broker is not ready: {why}", why=trouble)

    async def _trouble(self) -> str | None:
        """Return in a sentence why the broker is not ready, or None if it is."""
        if self.is_ending:
            return "The broker is ending."
        if self.refusal is not None:
            return self.refusal
        if self.ask is None:
            return "The broker's database does not answer yet."
        waiting: Deferred[str | None] = Deferred()
        self._waiting.append(waiting)
        if len(self._waiting) == 1:
            Deferred.fromCoroutine(self._look(self.ask))
        try:
            return await waiting.addTimeout(DEADLINE, self._clock)
        except DeadlinePassed:
            return "The broker's database does not answer in time."

    async def _look(self, ask: Ask) -> None:
        """Ask the database, and tell all that wait; those whose deadline has passed know already."""
        trouble = None
        try:
            await ask()
        except Unavailable:
            # The error itself may tell where the database is.
            trouble = "The broker's database does not answer."
        except Exception:  # noqa: BLE001 (with a defect it is not ready)
            self._log.failure("asking the database")
            trouble = "The broker failed unexpectedly; its log tells more."
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.called:
                one.callback(trouble)
