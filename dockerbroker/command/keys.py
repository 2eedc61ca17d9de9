"""Shows the keys with which secrets are sealed, and changes them while brokers work."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import click
from attrs import define, evolve
from twisted.internet.task import deferLater

from dockerbroker.command.deployment import Deployment
from dockerbroker.command.moving import pages
from dockerbroker.command.showing import show_table, tell
from dockerbroker.config.keys import add_key, new_label, remove_key
from dockerbroker.errors import Conflict, InvalidConfiguration
from dockerbroker.model import auditing
from dockerbroker.model.audit import command
from dockerbroker.persisters.archive import Kind, Resealed, Row
from dockerbroker.persisters.sealing import PLAIN, Sealing, read_sealing
from dockerbroker.persisters.vault import SECRET_KINDS, Unopened, label_of, place_of

#: How many secrets are sealed anew in one transaction: brokers wait for no more.
_AT_ONCE: Final = 25
_ORIGIN: Final = command("keys rotate")
_NO_KEYS: Final = (
    "There are no keys: make a file of them by dockerbroker keys generate, and name it by keys in the "
    "configuration of every broker."
)


async def list_keys(deployment: Deployment) -> int:
    """Show every key, what it is for, and how many secrets are sealed with it."""
    sealing, counts = await _sealing(deployment), await _counts(deployment)
    ring = deployment.vault.source.load()
    rows = []
    for label in sorted({*ring.keys, *sealing.canaries, *counts} - {PLAIN}):
        use = "seals" if label == sealing.primary else "opens" if label in sealing.canaries else "unused"
        rows.append((label, use, "yes" if label in ring.keys else "no", str(counts[label])))
    if counts[PLAIN]:
        rows.append(("(none)", "not encrypted", "", str(counts[PLAIN])))
    show_table(("key", "use", "here", "secrets"), rows)
    return 0


async def check_keys(deployment: Deployment) -> int:
    """Open every secret, and show those that do not open; returns 1 when there are any."""
    found = 0
    for kind in SECRET_KINDS:
        async for page in pages(deployment.archive, kind):
            for row in page:
                try:
                    deployment.vault.open(place_of(kind, row), row["secret"])
                except Unopened as error:
                    found += 1
                    names = " ".join(place_of(kind, row).row)
                    click.echo(f"{kind.value}: the secret of {names} does not open: {error}.")
    return 1 if found else 0


async def remove_label(deployment: Deployment, label: str) -> int:
    """Remove a key, with which no secret is sealed, from the file; raises `Conflict` while one is."""
    sealing, counts = await _sealing(deployment), await _counts(deployment)
    if label == sealing.primary and sealing.is_settled:
        raise Conflict(f"The key {label} seals what is written; run dockerbroker keys rotate before.")
    if label in sealing.canaries:
        raise Conflict(f"The database may still need the key {label}; end the change of keys first.")
    if counts[label]:
        raise Conflict(
            f"{counts[label]} secrets are sealed with the key {label}; run dockerbroker keys rotate --to "
            f"{sealing.primary}."
        )
    file = _file(deployment)
    remove_key(file, label)
    tell(f"The key {label} is not in {file} any more; backups from before may need it.")
    return 0


async def rotate(deployment: Deployment, label: str | None = None, *, settle: float = 0.0) -> int:
    """Let the key of that label, or else a new one, seal all secrets.

    A rotation that was interrupted goes on, with the key that it has begun with. `settle` are the seconds
    that brokers have to see which key seals now; those that work look every second.
    """
    sealing = await _sealing(deployment)
    is_unfinished = sealing.primary != PLAIN and not sealing.is_settled
    if label != sealing.primary and not (label is None and is_unfinished):
        sealing = await _promote(deployment, sealing, label)
    return await Rotation(deployment, settle).run(sealing)


async def _promote(deployment: Deployment, sealing: Sealing, label: str | None) -> Sealing:
    """Let the database say that another key seals from now on; the former ones open."""
    vault, chosen = deployment.vault, label or _next_key(deployment, sealing)
    if not vault.knows(chosen):
        raise InvalidConfiguration(f"keys: there is no key {chosen} in {vault.source.name}.")
    canaries = {**sealing.canaries, chosen: vault.canary(chosen)}
    if sealing.primary == PLAIN:
        canaries[PLAIN] = ""
    after = Sealing(primary=chosen, canaries=canaries)
    begun = auditing.keys_changing(chosen, _ORIGIN)
    if not await deployment.archive.change_sealing(sealing.text(), after.text(), begun):
        raise Conflict("Somebody else changes the keys at this moment.")
    tell(f"The key {chosen} seals what is written from now on.")
    return after


def _next_key(deployment: Deployment, sealing: Sealing) -> str:
    """Return the key that was added last, or a new one when the database knows that one already."""
    newest = deployment.vault.newest()
    if newest is not None and newest not in sealing.canaries:
        return newest
    label = new_label()
    add_key(_file(deployment), label)
    tell(f"The new key {label} is in {_file(deployment)}: keep a copy of that file in a safe place.")
    return label


def _file(deployment: Deployment) -> Path:
    source = deployment.vault.source
    if source.text is not None:
        raise InvalidConfiguration(f"Keys are in {source.name}: change that variable of every broker.")
    if source.file is None:
        raise InvalidConfiguration(_NO_KEYS)
    return source.file


@define(eq=False)
class Rotation:
    """Seals all secrets anew, some at a time, as often as brokers have written others meanwhile.

    Each secret is replaced only while it is the one that was read. Wherever this ends, every secret opens,
    and the next rotation goes on.
    """

    deployment: Deployment
    settle: float = 0.0
    unopened: int = 0

    async def run(self, sealing: Sealing) -> int:
        """Do it; raises `Conflict` when some secrets do not open, which stay as they are."""
        vault, archive = self.deployment.vault, self.deployment.archive
        if (why := vault.learn(sealing.text())) is not None:
            raise InvalidConfiguration(f"keys: the database {why}.")
        await self._passes()
        await deferLater(self.deployment.clock, self.settle, lambda: None)
        await self._passes()
        if self.unopened:
            raise Conflict(
                f"{self.unopened} secrets do not open, and stay as they are; see dockerbroker keys check."
            )
        canaries = {sealing.primary: sealing.canaries[sealing.primary]}
        after = evolve(sealing, canaries=canaries)
        ended = auditing.keys_changed(sealing.primary, _ORIGIN)
        if not await archive.change_sealing(sealing.text(), after.text(), ended):
            raise Conflict("Somebody else changes the keys at this moment.")
        tell(f"All secrets are sealed with the key {sealing.primary}.")
        return 0

    async def _passes(self) -> None:
        while await self._pass():
            pass

    async def _pass(self) -> int:
        """Seal anew all that another key seals; returns how many secrets were."""
        self.unopened, resealed = 0, 0
        for kind in SECRET_KINDS:
            done = 0
            async for some in self._others(kind):
                changes = [change for change in (self._resealed(kind, row) for row in some) if change]
                await self.deployment.archive.reseal(kind, changes)
                done += len(changes)
            if done:
                tell(f"{kind.value}: {done} secrets sealed anew.")
            resealed += done
        return resealed

    async def _others(self, kind: Kind) -> AsyncIterator[list[Row]]:
        """Yield the rows whose secrets the present key does not seal, some at a time."""
        async for page in pages(self.deployment.archive, kind):
            others = [row for row in page if not self.deployment.vault.is_current(row["secret"])]
            for start in range(0, len(others), _AT_ONCE):
                yield others[start : start + _AT_ONCE]

    def _resealed(self, kind: Kind, row: Row) -> Resealed | None:
        vault, place = self.deployment.vault, place_of(kind, row)
        try:
            text = vault.open(place, row["secret"])
        except Unopened:
            self.unopened += 1
            return None
        return Resealed(row=row, secret=vault.seal(place, text))


async def _sealing(deployment: Deployment) -> Sealing:
    told = (await deployment.archive.standing()).identity.sealing
    try:
        return read_sealing(told)
    except ValueError as error:
        raise Conflict(f"What the database says of its keys cannot be understood ({error}).") from None


async def _counts(deployment: Deployment) -> Counter[str]:
    """Return how many secrets each key has sealed."""
    counts: Counter[str] = Counter()
    for kind in SECRET_KINDS:
        async for page in pages(deployment.archive, kind):
            counts.update(label_of(row["secret"]) for row in page)
    return counts
