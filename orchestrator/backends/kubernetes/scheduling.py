"""Why no machine takes a pod, in plain words, out of what Kubernetes's scheduler says of it.

Its sentence counts machines by reason: "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint
{dedicated: db}. preemption: …". Its plugins' words differ between versions; what none of these knows is left out.
"""

import re
from dataclasses import dataclass
from typing import Final

_NO_ROOM: Final = (
    "There is no machine with room for it at the moment{why}. It starts when there is; or stop another REPL."
)
_NONE_FITS: Final = "There is no machine that may take it at the moment{why}. Tell the operator."

_OF: Final = re.compile(r"\d+/(\d+) nodes are available")
_PREEMPTION: Final = re.compile(r"\bpreemption:", re.IGNORECASE)  # what follows tells of others that could be ended
_COUNT: Final = r"(?:(\d+) )?(?:node\(s\) )?"
_TAINT: Final = r"(?:had|have) (?:untolerated )?taint(?:\(?s\)?)? \{"
_NOT_READY: Final = r"node\.kubernetes\.io/(?:not-ready|unreachable)"


@dataclass(frozen=True, slots=True)
class _Reason:
    """`passes`: others that end make room."""

    said: re.Pattern[str]
    words: str
    passes: bool = False


def _reason(said: str, words: str, *, passes: bool = False) -> _Reason:
    return _Reason(re.compile(_COUNT + said, re.IGNORECASE), words, passes)


_REASONS: Final = (
    _reason(r"Insufficient cpu", "not enough CPU", passes=True),
    _reason(r"Insufficient memory", "not enough memory", passes=True),
    _reason(r"Insufficient ephemeral-storage", "not enough disk", passes=True),
    _reason(r"(?:Too many pods|Insufficient pods)", "as many pods as it may have", passes=True),
    _reason(_TAINT + _NOT_READY, "it does not answer"),
    _reason(_TAINT + f"(?!{_NOT_READY})", "a taint keeps it for others"),
    _reason(r"were unschedulable", "it is cordoned: nothing new is put there"),
    _reason(r"didn't (?:match|satisfy) (?:\S+ )*?node (?:affinity|selector)", "DEVEX_K8S_POD asks for another kind"),
    _reason(r"didn't (?:match|satisfy) (?:\S+ )*?pods? (?:anti-)?affinity", "its pods and this one are to be apart"),
    _reason(r"(?:had|have) volume node affinity conflict", "the disk of its files is elsewhere"),
    _reason(r"exceed max volume count", "as many disks as it may have", passes=True),
    _reason(
        r"(?:pod has unbound immediate PersistentVolumeClaims|didn't find available persistent volumes to bind|"
        r'persistentvolumeclaim "[^"]*" (?:not found|is being deleted))',
        "there is no disk for its files",
    ),
)  # fmt: skip


def lacks_room(message: str) -> bool:
    """Others that end make room; `message` as below."""
    told = _PREEMPTION.split(message, maxsplit=1)[0]
    return any(reason.passes and reason.said.search(told) for reason in _REASONS)


def why_unschedulable(message: str) -> str:
    """-> a sentence and an action; `message` as the condition PodScheduled or an event FailedScheduling has it."""
    told = _PREEMPTION.split(message, maxsplit=1)[0]
    total = _OF.search(told)
    found = [(reason, said) for reason in _REASONS if (said := reason.said.search(told))]
    parts = [
        f"{reason.words} ({said[1]} of {total[1]})" if said[1] and total and total[1] != "1" else reason.words
        for reason, said in found
    ]
    sentence = _NO_ROOM if not found or any(reason.passes for reason, _ in found) else _NONE_FITS
    return sentence.format(why=f": {', '.join(parts)}" if parts else "")
