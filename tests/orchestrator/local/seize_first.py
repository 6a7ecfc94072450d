"""Run inside a sandbox: trace its first process, bubblewrap's inner half, and make it let bubblewrap's outer half end.

It no longer wants to die with its parent, and says that the program has ended with 7. Says "seized" when that is done.
"""

import ctypes
import os
import platform
from pathlib import Path

ATTACH, SINGLESTEP, POKEDATA, GETREGSET, SETREGSET, NT_PRSTATUS = 16, 9, 5, 0x4204, 0x4205, 1
EVENT_FD = next(fd for fd in os.listdir("/proc/1/fd") if "eventfd" in os.readlink(f"/proc/1/fd/{fd}"))
PR_SET_PDEATHSIG, SAYS_ENDED_WITH_7 = 1, 8

# Of struct user_regs: how many words, where the call, its arguments, the program counter and the stack pointer are;
# how far behind the instruction that calls the kernel a process waits; the numbers of prctl and write.
MACHINES = {
    "x86_64": (27, 10, (14, 13, 12), 16, 19, 2, (157, 1)),
    "aarch64": (34, 8, (0, 1, 2), 32, 31, 0, (167, 64)),
}
WORDS, CALL, ARGUMENTS, COUNTER, STACK, BEHIND, (PRCTL, WRITE) = MACHINES[platform.machine()]
ORIGINAL_CALL = 15  # x86_64: what would be begun again after the stop

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_ulong] * 4
registers = (ctypes.c_ulong * WORDS)()
vector = (ctypes.c_ulong * 2)(ctypes.addressof(registers), ctypes.sizeof(registers))


def ptrace(request: int, address: int = 0, data: int = 0) -> None:
    if libc.ptrace(request, 1, address, data) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def call(number: int, *arguments: int) -> int:
    ptrace(GETREGSET, NT_PRSTATUS, ctypes.addressof(vector))
    waits_at = registers[COUNTER]
    if platform.machine() == "x86_64":
        registers[ORIGINAL_CALL] = ctypes.c_ulong(-1).value
    registers[COUNTER] -= BEHIND
    registers[CALL] = number
    for where, argument in zip(ARGUMENTS, arguments, strict=True):
        registers[where] = argument
    ptrace(SETREGSET, NT_PRSTATUS, ctypes.addressof(vector))
    ptrace(SINGLESTEP)
    os.waitpid(1, 0)
    ptrace(GETREGSET, NT_PRSTATUS, ctypes.addressof(vector))
    registers[COUNTER] = waits_at
    ptrace(SETREGSET, NT_PRSTATUS, ctypes.addressof(vector))
    return registers[CALL if platform.machine() == "x86_64" else 0]


ptrace(ATTACH)
os.waitpid(1, 0)
ptrace(GETREGSET, NT_PRSTATUS, ctypes.addressof(vector))
unused = (registers[STACK] - 512) & ~7
ptrace(POKEDATA, unused, SAYS_ENDED_WITH_7)
assert call(PRCTL, PR_SET_PDEATHSIG, 0, 0) == 0
Path("seized").touch()
assert call(WRITE, int(EVENT_FD), unused, 8) == 8
while True:  # go on, unseen
    os.sched_yield()
