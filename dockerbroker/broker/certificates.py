"""Administers the certificates of Docker hosts."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import ClassVar

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from dockerbroker.broker.complaints import Complaints
from dockerbroker.engines.interfaces import ITrials
from dockerbroker.errors import BrokerError, Forbidden, NotFound
from dockerbroker.model.audit import ITSELF, Origin
from dockerbroker.model.certificates import HostCertificate, check_dates, encode_certificate
from dockerbroker.model.docker_addresses import UNIX, folded_host
from dockerbroker.model.hosts import DockerHost, HostKey, HostReport
from dockerbroker.model.roles import Principal, Role
from dockerbroker.persisters.administered import Only
from dockerbroker.persisters.interfaces import IPersister

#: Raises why a change is not wanted of what is stored, None for nothing.
Check = Callable[[HostCertificate | None], object]

#: How many engines at one address are tried.
_MOST_TRIALS = 8


@frozen(kw_only=True)
class Trial:
    """Whether the engine there could be used with a certificate: `trouble` says why not, or nothing."""

    address: str
    trouble: str


@frozen(kw_only=True)
class Stored:
    """That a certificate was stored, whether it is new, and what has come of trying it."""

    is_new: bool
    trials: tuple[Trial, ...]


@define(eq=False)
class Certificates:
    """Reads and changes the certificates by which Docker hosts are reached; `wall` is seconds since 1970."""

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    trials: ITrials
    wall: Callable[[], float]
    complaints: Complaints = field(init=False)

    @complaints.default
    def _of_this(self) -> Complaints:
        return Complaints(self.persister)

    async def all(self) -> list[HostCertificate]:
        """Return every certificate, in the order of the hosts."""
        return await self.persister.certificates()

    async def find(self, name: str) -> HostCertificate:
        """Return the certificate of the Docker host of that name; raises `NotFound`."""
        found = await self.persister.certificate(folded_host(name))
        if found is None:
            raise NotFound(f"There is no certificate for the Docker host {name!r}.")
        return found

    async def check_speaker(self, principal: Principal, name: str, shown: frozenset[str] | None) -> None:
        """Raise `Forbidden` when that is none of the addresses of the hosts that an agent speaks for.

        `shown` are the names in the certificate that it has shown, None if it was asked for none.
        """
        if principal.role is not Role.AGENT or not (principal.host or shown is not None):
            return
        keys = [report.host.key for report in await self.persister.hosts()]
        own = {folded_host(key.docker_host) for key in keys if _speaks_for(principal, shown, key)}
        if name not in own:
            raise Forbidden(
                f"The credentials or the certificate of this agent are for other Docker hosts: of none of "
                f"them {name!r} is known to be the address."
            )

    async def put(
        self, certificate: HostCertificate, check: Check | None = None, origin: Origin = ITSELF
    ) -> Stored:
        """Store a certificate, and try it on the engines that are known at its address.

        It is stored also when no engine can be used with it: an engine may be down, or get its own new
        certificate afterwards. Raises `InvalidRequest` for one that can never be used, and what `check`
        raises of the one that is stored.
        """
        check_dates(certificate, datetime.fromtimestamp(self.wall(), UTC))
        self.trials.check(certificate)
        only = await self._only(certificate.host, check)
        is_new = await self.persister.put_certificate(certificate, only=only, origin=origin)
        fingerprint = encode_certificate(certificate)["Fingerprint"]
        self._log.info(
            "The Docker host {host} has a new certificate, {fingerprint}",
            host=certificate.host,
            fingerprint=fingerprint,
        )
        reports = await self._reports(certificate)
        trials = [Deferred.fromCoroutine(self._try(same, certificate)) for same in reports]
        return Stored(is_new=is_new, trials=tuple([await trial for trial in trials]))

    async def _only(self, host: str, check: Check | None) -> Only[HostCertificate] | None:
        if check is None:
            return None
        stored = await self.persister.certificate(host)
        check(stored)
        return Only(stored)

    async def delete(self, name: str, check: Check | None = None, origin: Origin = ITSELF) -> None:
        """Remove the certificate of a Docker host; raises `NotFound`, and as `check`."""
        host = folded_host(name)
        only = await self._only(host, check)
        await self.persister.delete_certificate(host, only=only, origin=origin)
        self._log.info("The Docker host {host} has no certificate any more", host=folded_host(name))

    async def _reports(self, certificate: HostCertificate) -> list[list[HostReport]]:
        """Return the hosts at the certificate's address, those of one engine together."""
        there: dict[int, list[HostReport]] = {}
        for report in await self.persister.hosts():
            key = report.host.key
            if not key.docker_host.startswith(UNIX) and folded_host(key.docker_host) == certificate.host:
                there.setdefault(key.docker_port, []).append(report)
        return list(there.values())[:_MOST_TRIALS]

    async def _try(self, reports: Sequence[HostReport], certificate: HostCertificate) -> Trial:
        trial = await self._tried(reports[0].host, certificate)
        await self.complaints.note(reports, trial.trouble)
        return trial

    async def _tried(self, host: DockerHost, certificate: HostCertificate) -> Trial:
        address = f"{host.key.docker_host}:{host.key.docker_port}"
        try:
            await self.trials.attempt(host, certificate)
        except BrokerError as error:
            self._log.warn(
                "The certificate of {host} does not work: {why}", host=certificate.host, why=error.description
            )
            return Trial(address=address, trouble=error.description)
        return Trial(address=address, trouble="")


def _speaks_for(principal: Principal, shown: frozenset[str] | None, key: HostKey) -> bool:
    is_own = principal.host in {"", key.service_host}
    return is_own and (shown is None or key.service_host.lower() in shown)
