"""Noticing that programs compute, which keeps a Repl awake as typing does."""

from orchestrator.backends.base import Backend, OnActivity
from orchestrator.clock import Clock, after
from orchestrator.domain import Activity, CpuSample, Limits
from orchestrator.faults import Faults


class Computing:
    """Looks at every sandbox's CPU time each `limits.cpu_sample_s`."""

    def __init__(self, backend: Backend, clock: Clock, limits: Limits, on_activity: OnActivity) -> None:
        self._backend = backend
        self._clock = clock
        self._sample_s = limits.cpu_sample_s
        self._faults = Faults(limits)
        self._on_activity = on_activity
        self._last: dict[str, CpuSample] = {}

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                self._compare(await self._backend.cpu_times())
                self._faults.worked("reading CPU times")
            except Exception as error:
                self._faults.failed("reading CPU times", error)
            await self._clock.sleep_until(after(self._clock, self._sample_s))

    def _compare(self, cpu_times: dict[str, float]) -> None:
        now = self._clock.now()
        samples = {repl_id: CpuSample(cpu_s, now) for repl_id, cpu_s in cpu_times.items()}
        for repl_id, sample in samples.items():
            before = self._last.get(repl_id)
            if before is not None and sample.computed_since(before):
                self._on_activity(repl_id, Activity.CPU)
        self._last = samples
