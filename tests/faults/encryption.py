"""What can happen to encrypted connections: no more than to others."""

from __future__ import annotations

from twisted.internet.threads import deferToThread

from tests.faults.case import PATIENT, FaultTestCase, begin
from tests.servers.proxy import Proxy


class TlsFaults(FaultTestCase):
    """A server that takes no other connections than encrypted ones."""

    patience = PATIENT

    async def test_lost(self) -> None:
        """No call fails when connections are reset, and none after the server was killed and started."""
        server = self.private(tls=True)
        proxy = Proxy(self, server.port)
        persister = await self.open(server.configuration(port=proxy.port, pool_size=3))
        for turn in range(5):
            begun = await self.all([begin(persister, f"{turn} {number}") for number in range(6)])
            proxy.reset_all()
            found = await self.all([persister.operation(operation.id) for operation in begun])
            self.assertEqual(begun, found)
        await deferToThread(server.kill)
        server.start()
        self.assertEqual(await self.call(persister.operation(begun[0].id)), begun[0])


KINDS: tuple[type[FaultTestCase], ...] = (TlsFaults,)
