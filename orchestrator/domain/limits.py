"""Numbers a Repl lives by. Every one has its reason; some of them an operator may change in settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

MIB = 1024 * 1024


class Egress(StrEnum):
    """What programs in a sandbox may connect to."""

    NONE = "none"
    ALLOWLIST = "allowlist"
    PUBLIC = "public"  # every public address; never the host, its network or metadata services


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What one sandbox may use."""

    memory_bytes: int = 1024 * MIB  # a Vite build or a JVM fits; sixteen sandboxes fit a 16 GiB machine
    cpus: float = 1.0
    pids: int = 256  # a dev server with its workers, not a fork bomb
    disk_bytes: int = 2048 * MIB  # node_modules of a large project
    disk_entries: int = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one owner may have, and how long each phase may take."""

    max_repls: int = 50  # per owner, the trash included: it holds disk as well
    max_running: int = 10  # per owner
    idle_stop_s: float = 1800  # a coffee break is survived; a night is not
    extend_day_s: float = 24 * 3600  # per owner and day: one REPL day and night, or six for an afternoon
    trash_s: float = 30 * 86400  # what was deleted by mistake is missed within a month
    start_deadline_s: float = 30  # a local start takes 0.1 s, on a machine that is busy some seconds
    seed_deadline_s: float = 300  # a fork copies at most a full disk
    save_deadline_s: float = 60  # of a stop, for a last version; after it the files wait on the disk to be saved
    stop_deadline_s: float = 60  # after it: documents are flushed, programs get 5 s to end, disks are slow
    shutdown_deadline_s: float = 30  # of Ctrl-C, for versions of all that runs: somebody waits at the terminal
    retry_first_s: float = 0.5  # back-off doubles from here...
    retry_most_s: float = 60  # ...up to here, with jitter
    resync_s: float = 60  # what an event was lost about is seen at the latest after this
    cpu_sample_s: float = 30  # whether programs compute: twice in the shortest lease, and not worth more
    size: Size = field(default_factory=Size)
    sizes: Mapping[str, Size] = field(default_factory=dict)  # of templates that need another one
    egress: Egress = Egress.PUBLIC

    def size_of(self, template: str) -> Size:
        return self.sizes.get(template, self.size)

    def pause_s(self, failures: int) -> float:
        """How long to wait after that many failures in a row, jitter aside."""
        return min(self.retry_first_s * 2.0 ** min(failures - 1, 30), self.retry_most_s)
