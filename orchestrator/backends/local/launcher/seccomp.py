"""The seccomp filter, as a classic BPF program made from tables: no compiler and no libseccomp needed.

Everything is allowed but what is named here, since a REPL must run anything. Refused are ways into the kernel that
programs do not need and attackers love: namespaces, mounts, keys, io_uring, bpf, rare socket families, foreign ABIs.
Numbers: the kernel's arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
"""

import errno
import struct
from collections.abc import Iterable
from dataclasses import dataclass

# Linux include/uapi/linux/bpf_common.h
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16  # offsets in struct seccomp_data
_X32_BIT = 0x40000000

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN = {"x86_64": 0, "aarch64": 1}

# Refused with EPERM; (x86_64, aarch64), None where the call does not exist.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "syslog": (103, 116),
    "acct": (163, 89),
    "fanotify_init": (300, 262),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "mbind": (237, 235),
    "set_mempolicy": (238, 237),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "vmsplice": (278, 75),
    "lookup_dcookie": (212, 18),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "vhangup": (153, 58),
    "iopl": (172, None),
    "ioperm": (173, None),
    "_sysctl": (156, None),
    "uselib": (134, None),
    "ustat": (136, None),
    "sysfs": (139, None),
    "nfsservctl": (180, 42),
}

_CLONE3 = 435
_CLONE_NAMESPACES = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}; NEWTIME only exists in clone3 and unshare
_TIOCSTI, _TIOCLINUX, _TIOCSETD = 0x5412, 0x541C, 0x5423
_PERSONALITIES = (0, 0x40000, 0xFFFFFFFF)  # Linux, without address randomisation (gdb), the question which one it is
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16


@dataclass(frozen=True, slots=True)
class _Checked:
    """A call judged by the low 32 bits of one argument: the kernel truncates `ioctl`'s too (CVE-2019-10063)."""

    numbers: tuple[int, int]
    argument: int
    refusal: int
    refused: tuple[int, ...] = ()
    allowed: tuple[int, ...] = ()
    refused_bits: int = 0


_CHECKED = {
    "clone": _Checked((56, 220), 0, errno.EPERM, refused_bits=_CLONE_NAMESPACES),
    "ioctl": _Checked((16, 29), 1, errno.EPERM, refused=(_TIOCSTI, _TIOCLINUX, _TIOCSETD)),
    "personality": _Checked((135, 92), 0, errno.EPERM, allowed=_PERSONALITIES),
    "socket": _Checked((41, 198), 0, errno.EAFNOSUPPORT, allowed=(_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK)),
}


class UnknownMachine(Exception):
    """There is no table for this processor."""


def program(machine: str) -> bytes:
    """-> the filter as bwrap's --seccomp reads it. Raises UnknownMachine: not x86_64 or aarch64."""
    if machine not in _ARCHITECTURES:
        raise UnknownMachine(f"There is no seccomp table for {machine}.")
    column = _COLUMN[machine]
    code = [
        _instruction(_LOAD, _ARCH_AT),
        _instruction(_JUMP_EQUAL, _ARCHITECTURES[machine], yes=1),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER_AT),
    ]
    if machine == "x86_64":
        code += [_instruction(_JUMP_AT_LEAST, _X32_BIT, no=1), _refuse(errno.ENOSYS)]
    for checked in _CHECKED.values():
        code += _when(checked.numbers[column], _judge(checked))
    code += _when(_CLONE3, [_refuse(errno.ENOSYS)])  # glibc falls back to clone, whose flags can be read
    code += _any_of((number[column] for number in _REFUSED.values()), errno.EPERM)
    code.append(_instruction(_RETURN, _ALLOW))
    return b"".join(code)


def numbers(machine: str) -> dict[str, int]:
    """The system calls this filter knows, by name."""
    column = _COLUMN[machine]
    judged = {name: checked.numbers[column] for name, checked in _CHECKED.items()}
    refused = {name: number for name, row in _REFUSED.items() if (number := row[column]) is not None}
    return {**judged, **refused, "clone3": _CLONE3}


def _instruction(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    """`yes` and `no`: how many instructions to skip when a jump's condition holds, or does not."""
    return struct.pack("=HBBI", code, yes, no, value)


def _refuse(error: int) -> bytes:
    return _instruction(_RETURN, _ERRNO | error)


def _when(number: int, then: list[bytes]) -> list[bytes]:
    return [_instruction(_JUMP_EQUAL, number, no=len(then)), *then]


def _any_of(numbers: Iterable[int | None], error: int) -> list[bytes]:
    return [step for number in numbers if number is not None for step in _when(number, [_refuse(error)])]


def _judge(checked: _Checked) -> list[bytes]:
    low_word = _ARGUMENTS_AT + 8 * checked.argument  # both machines are little-endian
    code = [_instruction(_LOAD, low_word)]
    if checked.refused_bits:
        code += [_instruction(_JUMP_ANY_BIT, checked.refused_bits, no=1), _refuse(checked.refusal)]
    for value in checked.refused:
        code += [_instruction(_JUMP_EQUAL, value, no=1), _refuse(checked.refusal)]
    for value in checked.allowed:
        code += [_instruction(_JUMP_EQUAL, value, no=1), _instruction(_RETURN, _ALLOW)]
    return [*code, _refuse(checked.refusal) if checked.allowed else _instruction(_RETURN, _ALLOW)]
