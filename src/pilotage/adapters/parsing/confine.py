"""Confines the parsing process: no network, no new program, no file written, bounded CPU and memory.

Parsers read hostile bytes; a parser that is taken over must find nothing to do. Limits come from setrlimit(2). On Linux
x86-64 and arm64 a seccomp filter (seccomp(2), BPF) refuses sockets, exec, ptrace and file changes by system call;
everywhere an audit hook refuses the same from Python. Fail mode: a limit that cannot be set ends the process before it
reads a byte; a kernel without seccomp leaves the limits and the hook, which `has_filter` says.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from types import MappingProxyType

CPU_SECONDS = 60
ADDRESS_SPACE = 1 << 30

_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | 1  # SECCOMP_RET_ERRNO | EPERM

# Refused system calls: socket connect bind execve execveat ptrace process_vm_readv process_vm_writev unlink rename
# mkdir kill io_uring_setup and their -at forms, by the numbers of each architecture.
_CALLS = MappingProxyType(
    {
        "x86_64": (
            0xC000003E,
            (41, 42, 49, 53, 59, 62, 82, 83, 84, 87, 101, 200, 234, 258, 263, 264, 310, 311, 316, 322, 425),
        ),
        "aarch64": (0xC00000B7, (34, 35, 38, 117, 129, 130, 131, 198, 199, 200, 203, 221, 270, 271, 276, 281, 425)),
    }
)
_REFUSED_EVENTS = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "ctypes.")


def confine() -> bool:
    """Confine this process for good; return whether the kernel filter is active as well."""
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    for limit, value in (
        (resource.RLIMIT_AS, ADDRESS_SPACE),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 32),
    ):
        resource.setrlimit(limit, (value, value))
    has_filter = _filter()
    sys.addaudithook(_refuse)
    return has_filter


def allow_cpu(seconds: int = CPU_SECONDS) -> None:
    """Give the next document its own CPU time: the kernel counts per process, we count per document."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


def _refuse(event: str, _arguments: tuple[object, ...]) -> None:
    if event.startswith(_REFUSED_EVENTS):
        message = f"{event} is not permitted while parsing"
        raise PermissionError(message)


def _filter() -> bool:
    if sys.platform != "linux" or platform.machine() not in _CALLS:
        return False
    arch, calls = _CALLS[platform.machine()]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == 1 or libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    program = _program(arch, calls)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.c_char_p(header), 0, 0) == 0)


def _program(arch: int, calls: tuple[int, ...]) -> bytes:
    """Assemble the BPF program: another architecture or a listed call is refused, the rest allowed."""
    load, jump_equal, jump_above, give = 0x20, 0x15, 0x35, 0x06

    def line(code: int, yes: int, no: int, value: int) -> bytes:
        return struct.pack("HBBI", code, yes, no, value)

    count = len(calls)
    lines = [line(load, 0, 0, 4), line(jump_equal, 0, count + 2, arch), line(load, 0, 0, 0)]
    # The x32 calls of x86-64 start at 2^30: the same kernel by other numbers.
    lines.append(line(jump_above, count + 0, 0, 0x40000000))
    lines.extend(line(jump_equal, count - index, 0, call) for index, call in enumerate(calls))
    lines += [line(give, 0, 0, _ALLOW), line(give, 0, 0, _REFUSE)]
    return b"".join(lines)
