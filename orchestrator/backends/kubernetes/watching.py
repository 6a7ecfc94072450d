"""A view of one kind of object, kept true by one list and one watch."""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final

from orchestrator.backends.kubernetes.api import Api, ApiError, Kind, Object

RETRY_FIRST_S: Final = 0.2
RETRY_MOST_S: Final = 10.0  # what changed meanwhile is seen that much later at the most
ENDED_SOON_S: Final = 1.0  # a watch that says nothing and ends within this is no watch
_UNASKED: Final = ("template", "containers", "initContainers", "volumes")  # with managedFields most of an object

log = logging.getLogger(__name__)


def trimmed(found: Object) -> Object:
    """Without what nobody asks."""
    found["metadata"].pop("managedFields", None)
    for part in _UNASKED:
        found.get("spec", {}).pop(part, None)
    return found


class View:
    """`objects` by name, as `kept` makes them of what is shown; `changed` is called with each that is new, other than
    it was, or (as it last was) gone.
    """

    def __init__(
        self,
        api: Api,
        kind: Kind,
        selector: str,
        changed: Callable[[Object], None],
        *,
        kept: Callable[[Object], Object] = trimmed,
    ) -> None:
        self.objects: dict[str, Object] = {}
        self.listed = asyncio.Event()  # all that there was is known
        self.trouble = ""  # why it was not seen when it was last asked for
        self._api = api
        self._kind = kind
        self._selector = selector
        self._changed = changed
        self._kept = kept

    async def run(self) -> None:
        """Until cancelled. A watch goes on from where the last one ended, or from a new list when that is too old."""
        version, failures = "", 0
        now_s = asyncio.get_running_loop().time
        while True:
            begun_s, heard, after_s = now_s(), False, 0.0
            try:
                if not version:
                    version = await self._list()
                async for what, found in self._api.watch(self._kind, version, self._selector):
                    version = found["metadata"]["resourceVersion"]
                    self._take(what, found)
                    heard, failures = True, 0
                failures = failures + 1 if not heard and now_s() - begun_s < ENDED_SOON_S else 0
            except ApiError as error:
                failures, after_s = failures + 1, error.retry_after_s or 0.0
                self.trouble = str(error)
                if error.status == 410:  # too old
                    version = ""
                else:
                    log.warning("%s are not watched at the moment: %s", self._kind.plural, error)
            except Exception:
                failures, version = failures + 1, ""
                log.exception("what was told of %s is not understood", self._kind.plural)
            if failures:
                pause_s = min(RETRY_FIRST_S * 2.0 ** min(failures - 1, 30), RETRY_MOST_S)
                await asyncio.sleep(max(after_s, pause_s * random.uniform(0.5, 1.0)))  # noqa: S311

    async def _list(self) -> str:
        listing = await self._api.list(self._kind, self._selector)
        before, self.objects = self.objects, {}
        for found in listing.items:
            self._keep(found)
        for name, found in self.objects.items():  # all are there by now: what is told is what is so
            if name not in before or _version(before[name]) != _version(found):
                self._changed(found)
        for name in before.keys() - self.objects.keys():
            self._changed(before[name])
        self.listed.set()
        return listing.version

    def _take(self, what: str, found: Object) -> None:
        if what in ("ADDED", "MODIFIED"):
            self._keep(found)
            self._changed(found)
        elif what == "DELETED":
            self.objects.pop(found["metadata"]["name"], None)
            self._changed(found)

    def _keep(self, found: Object) -> None:
        self.objects[found["metadata"]["name"]] = self._kept(found)


def _version(found: Object) -> str:
    version: str = found["metadata"]["resourceVersion"]
    return version
