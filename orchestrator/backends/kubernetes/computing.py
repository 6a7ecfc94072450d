"""Seconds of CPU that pods have used: a metrics server, where there is one, tells rates, and these are summed up."""

import time
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from orchestrator.backends.kubernetes.api import METRICS, Api, ApiError
from orchestrator.backends.kubernetes.manifests import APP, APP_NAME

_SUFFIXES: Final = {"n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1)}


class Computing:
    """`uids` of the pods that there are, by name."""

    def __init__(self, api: Api, uids: Callable[[], Mapping[str, str]]) -> None:
        self._api = api
        self._uids = uids
        self._used_s: dict[str, float] = {}
        self._looked_s: float | None = None

    async def look(self) -> dict[str, float]:
        """By uid; nothing while there is no metrics server, or none that answers at once."""
        try:
            listing = await self._api.list(METRICS, f"{APP}={APP_NAME}", patient=False)
        except ApiError:
            return {}
        now_s = time.monotonic()
        since_s = now_s - self._looked_s if self._looked_s is not None else 0.0
        self._looked_s = now_s
        uids = self._uids()
        rates = {uids[name]: cores(one) for one in listing.items if (name := one["metadata"]["name"]) in uids}
        self._used_s = {uid: self._used_s.get(uid, 0.0) + rate * since_s for uid, rate in rates.items()}
        return dict(self._used_s)


def cores(metrics: Mapping[str, Any]) -> float:
    """Of the container that runs the programs. A quantity as Kubernetes writes it: 1, 250m, 1500u, 12345n."""
    for container in metrics.get("containers", []):
        if container["name"] == "runner":
            text = str(container["usage"]["cpu"])
            number = text.rstrip("num")
            try:
                return float(Decimal(number) * _SUFFIXES[text[len(number) :]])
            except (InvalidOperation, KeyError):
                return 0.0
    return 0.0
