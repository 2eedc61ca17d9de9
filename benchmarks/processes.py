"""What the kernel tells of a process: processor time and resident memory."""

import time
from pathlib import Path

#: The clock of all threads of a process, by which Linux has its processor time in nanoseconds.
_SCHEDULED = 2


def cpu_seconds(pid: int) -> float:
    """Return the processor time that the process has used, in seconds, in user and kernel mode."""
    # The number of another process's clock, as clock_getcpuclockid(3) makes it.
    return time.clock_gettime((~pid << 3) | _SCHEDULED)


def resident_mebibytes(pid: int) -> float:
    """Return the resident memory of the process, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"process {pid} tells no resident memory")
