"""Noticing that programs compute, which keeps a Repl awake as typing does."""

import logging
from datetime import timedelta

from orchestrator.backends.base import Backend, OnActivity
from orchestrator.clock import Clock
from orchestrator.domain import Activity, CpuSample

log = logging.getLogger(__name__)


class Computing:
    """Looks at every sandbox's CPU time each `sample_s`."""

    def __init__(self, backend: Backend, clock: Clock, sample_s: float, on_activity: OnActivity) -> None:
        self._backend = backend
        self._clock = clock
        self._sample_s = sample_s
        self._on_activity = on_activity
        self._last: dict[str, CpuSample] = {}

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                self._compare(await self._backend.cpu_times())
            except Exception:
                log.exception("the CPU times could not be read; they are read again")
            await self._clock.sleep_until(self._clock.now() + timedelta(seconds=self._sample_s))

    def _compare(self, cpu_times: dict[str, float]) -> None:
        now = self._clock.now()
        samples = {repl_id: CpuSample(cpu_s, now) for repl_id, cpu_s in cpu_times.items()}
        for repl_id, sample in samples.items():
            before = self._last.get(repl_id)
            if before is not None and sample.computed_since(before):
                self._on_activity(repl_id, Activity.CPU)
        self._last = samples
