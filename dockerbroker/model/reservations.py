"""What instances reserve on a Docker host, and how much of it may be reserved."""

from typing import Final

from attrs import frozen

from dockerbroker.model.plans import ContainerOptions

#: So many thousandths are one processor: whole numbers can be added up without error.
THOUSANDTHS: Final = 1000
#: As much as nobody can reserve: there is no limit.
UNLIMITED: Final = 2**53


@frozen(kw_only=True)
class Reserved:
    """What one instance, or all of a host, reserves; what a plan does not limit it does not reserve.

    `memory` is in bytes, `cpus` in thousandths of a processor, `ports` counts the leased ones.
    """

    memory: int = 0
    cpus: int = 0
    ports: int = 0
    instances: int = 0

    def __add__(self, other: "Reserved") -> "Reserved":
        """Return what both reserve."""
        return Reserved(
            memory=self.memory + other.memory,
            cpus=self.cpus + other.cpus,
            ports=self.ports + other.ports,
            instances=self.instances + other.instances,
        )

    def __sub__(self, other: "Reserved") -> "Reserved":
        """Return how much more this is than the other; some of it may be negative."""
        return Reserved(
            memory=self.memory - other.memory,
            cpus=self.cpus - other.cpus,
            ports=self.ports - other.ports,
            instances=self.instances - other.instances,
        )

    def __bool__(self) -> bool:
        """Whether anything is reserved."""
        return bool(self.memory or self.cpus or self.ports or self.instances)


#: What reserves nothing.
NOTHING: Final = Reserved()


def reserved_by(options: ContainerOptions) -> Reserved:
    """Return what a container with these options reserves, but for its ports."""
    cpus = round((options.cpus or 0) * THOUSANDTHS)
    return Reserved(memory=options.memory or 0, cpus=cpus, instances=1)


@frozen(kw_only=True)
class Most:
    """How much memory (bytes) and how many processors (thousandths) may be reserved on a host in all."""

    memory: int = UNLIMITED
    cpus: int = UNLIMITED

    def has_room(self, reserved: Reserved, more: Reserved) -> bool:
        """Whether that much more may be reserved; nothing more of a thing is never too much."""
        is_memory_left = more.memory <= 0 or reserved.memory + more.memory <= self.memory
        return is_memory_left and (more.cpus <= 0 or reserved.cpus + more.cpus <= self.cpus)
