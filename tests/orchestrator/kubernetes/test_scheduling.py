"""What a scheduler says, as its versions say it, in plain words."""

import pytest

from orchestrator.backends.kubernetes.scheduling import why_unschedulable

ROOM = "There is no machine with room for it at the moment{}. It starts when there is; or stop another REPL."
FIT = "There is no machine that may take it at the moment{}. Tell the operator."
PREEMPTION = "preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod, 1 Insufficient cpu."


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("", ROOM.format("")),
        ("no nodes available to schedule pods", ROOM.format("")),
        ("0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1", ROOM.format(": not enough CPU")),
        (
            "0/4 nodes are available: 1 Insufficient cpu, 2 Insufficient memory, 1 Insufficient ephemeral-storage, "
            f"1 Too many pods. no new claims to deallocate, {PREEMPTION}",
            ROOM.format(
                ": not enough CPU (1 of 4), not enough memory (2 of 4), not enough disk (1 of 4), "
                "as many pods as it may have (1 of 4)"
            ),
        ),
        (
            "0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, "
            f"2 node(s) didn't match Pod's node affinity/selector. {PREEMPTION}",
            FIT.format(": a taint keeps it for others (1 of 3), DEVEX_K8S_POD asks for another kind (2 of 3)"),
        ),
        (
            "0/3 nodes are available: 1 node(s) had taint {node.kubernetes.io/unreachable: }, that the pod didn't "
            "tolerate, 1 node(s) had untolerated taint(s) {dedicated: db}, 1 node(s) were unschedulable.",
            FIT.format(
                ": it does not answer (1 of 3), a taint keeps it for others (1 of 3), "
                "it is cordoned: nothing new is put there (1 of 3)"
            ),
        ),
        (
            "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
            FIT.format(": there is no disk for its files"),
        ),
        (
            '0/2 nodes are available: persistentvolumeclaim "repl-x" not found.',
            FIT.format(": there is no disk for its files"),
        ),
        (
            "0/2 nodes are available: 1 node(s) had volume node affinity conflict, 1 Insufficient cpu.",
            ROOM.format(": not enough CPU (1 of 2), the disk of its files is elsewhere (1 of 2)"),
        ),
        (
            "0/2 nodes are available: 2 node(s) didn't satisfy existing pods anti-affinity rules.",
            FIT.format(": its pods and this one are to be apart (2 of 2)"),
        ),
    ],
)
def test_each_reason_is_told_in_plain_words(message: str, sentence: str) -> None:
    assert why_unschedulable(message) == sentence
