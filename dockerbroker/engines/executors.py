"""The two ways of running an executable: over Docker's API, and by a command such as `docker-enter`."""

from attrs import define
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from dockerbroker.engines.interfaces import IEngine, IExecutor
from dockerbroker.engines.killing import kill_marked
from dockerbroker.errors import EngineError, ExecutableOverrun, OutcomeUnknown
from dockerbroker.model.containers import ExecOutput
from dockerbroker.model.executables import OUTPUT_LIMIT, Execution, ExecutionResult

#: How often, and how long apart in seconds, an exec whose output has ended is asked for its exit status.
_INSPECTIONS = 20
_INTERVAL = 0.1


@implementer(IExecutor)
@define(eq=False)
class DockerApiExecutor:
    """Runs executables as execs of the engine."""

    reactor: IReactorTime
    engine: IEngine

    async def prepare(self, execution: Execution) -> str:
        """Create the exec; see `IExecutor.prepare`."""
        command = (execution.path, *execution.arguments)
        return await self.engine.create_exec(execution.container_id, command, execution.environment)

    async def run(self, exec_id: str, execution: Execution) -> ExecutionResult:
        """Start the exec and read its outcome; see `IExecutor.run`."""
        try:
            output = await self.engine.start_exec(
                exec_id, execution.stdin, limit=OUTPUT_LIMIT, deadline=execution.deadline
            )
        except ExecutableOverrun as overrun:
            ended = await self._end(exec_id, execution)
            raise ExecutableOverrun(overrun.description, ended=ended) from None
        except OutcomeUnknown as unknown:
            raise OutcomeUnknown(await self._look(exec_id, execution, unknown)) from None
        return await self._result(exec_id, execution, output)

    async def _result(self, exec_id: str, execution: Execution, output: ExecOutput) -> ExecutionResult:
        try:
            exit_code = await self._exit_code(exec_id)
        except EngineError as error:
            raise OutcomeUnknown(
                f"{execution.path} ended, but its exit status is unknown: {error.description}"
            ) from None
        if exit_code is None:
            raise OutcomeUnknown(f"The output of {execution.path} ended, but it still runs.")
        return ExecutionResult(exit_code=exit_code, stdout=output.stdout, stderr_tail=output.stderr_tail)

    async def _end(self, exec_id: str, execution: Execution) -> bool:
        if await kill_marked(self.engine, execution.container_id, execution.marker) is None:
            return False
        try:
            return await self._exit_code(exec_id) is not None
        except EngineError:
            return False

    async def _look(self, exec_id: str, execution: Execution, unknown: OutcomeUnknown) -> str:
        # What goes on without a listener would still be at work when it is run again or undone.
        try:
            state = await self.engine.inspect_exec(exec_id)
        except EngineError:
            return f"{unknown.description} Whether {execution.path} ran is unknown."
        if state.exit_code is not None:
            return (
                f"{unknown.description} {execution.path} has ended with exit status {state.exit_code}, "
                "but its output is lost."
            )
        if not state.running:
            return f"{unknown.description} {execution.path} has not been started."
        ended = await self._end(exec_id, execution)
        outcome = "was ended" if ended else "may still be running"
        return f"{unknown.description} {execution.path} {outcome}, and its output is lost."

    async def _exit_code(self, exec_id: str) -> int | None:
        for _ in range(_INSPECTIONS):
            state = await self.engine.inspect_exec(exec_id)
            if not state.running and state.exit_code is not None:
                return state.exit_code
            await deferLater(self.reactor, _INTERVAL)
        return None
