"""System calls that a process gives up for good, also for its threads and children (seccomp(2)).

A list of what is refused (EPERM), not of what is allowed: Python, numpy and a JVM call nearly
everything that is harmless, and differently in each version. What is refused is what looks into or
takes over other processes, changes the system, or has long been a way to root; and of sockets all
families but those that the process needs.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from collections.abc import Collection, Iterable
from typing import Final

ALWAYS: Final = (
    # Other processes: their memory, their descriptors.
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd"),
    # Namespaces and mounts.
    *("unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree"),
    *("fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"),
    # Files by number instead of by name.
    *("open_by_handle_at", "name_to_handle_at"),
    # The kernel.
    *("bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter"),
    *("io_uring_register", "add_key", "request_key", "keyctl", "init_module", "finit_module"),
    *("delete_module", "kexec_load", "kexec_file_load", "syslog", "ioperm", "iopl"),
    # The host.
    *("reboot", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "vhangup"),
    *("settimeofday", "clock_settime", "clock_adjtime", "adjtimex"),
    *("sethostname", "setdomainname", "mknod", "mknodat"),
)
EXECUTE: Final = ("execve", "execveat")
NETWORK: Final = ("connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg", "sendmmsg")
ORDINARY_FAMILIES: Final = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)
"""Of sockets; and of netlink what `getaddrinfo` asks, the routing tables (NETLINK_ROUTE)."""
_FAMILIES: Final = 64
"""More than there are (AF_MAX is 46)."""
_NEW_NAMESPACES: Final = 0x7E020000
"""CLONE_NEW… of clone(2)."""
# seccomp.h
_ALLOW, _ERRNO, _NO_SUCH_CALL, _ALL_THREADS = 0x7FFF0000, 0x00050000, -1, 4
_NOT_EQUAL, _EQUAL, _AT_LEAST, _MASKED_EQUAL = 1, 4, 5, 7
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
"""Put characters into a terminal (ioctl_tty(2), ioctl_console(2))."""


def refuse(calls: Iterable[str] = (), *, families: Collection[int] = ORDINARY_FAMILIES) -> bool:
    """Refuse what is `ALWAYS` refused, ``calls``, and sockets that are not of ``families``.

    Who has some family and not AF_NETLINK may still ask netlink for routes, as `getaddrinfo` does.

    False, and nothing refused, without libseccomp or with a kernel that has no such filters.
    Raises: OSError.
    """
    try:
        rules = _Rules()
    except OSError:  # no libseccomp
        return False
    for call in dict.fromkeys((*ALWAYS, *calls)):
        rules.add(errno.EPERM, call)
    # glibc makes threads with clone when the kernel knows no clone3, whose flags can't be seen.
    rules.add(errno.ENOSYS, "clone3")
    for bit in range(32):
        if _NEW_NAMESPACES >> bit & 1:
            rules.add(errno.EPERM, "clone", _Compare(0, _MASKED_EQUAL, 1 << bit, 1 << bit))
    for request in (_TIOCSTI, _TIOCLINUX):
        rules.add(errno.EPERM, "ioctl", _Compare(1, _MASKED_EQUAL, 0xFFFFFFFF, request))
    for family in range(_FAMILIES):
        same = _Compare(0, _EQUAL, family, 0)
        if family == socket.AF_NETLINK and families and family not in families:
            rules.add(errno.EPERM, "socket", same, _Compare(2, _NOT_EQUAL, 0, 0))
        elif family not in families:
            rules.add(errno.EPERM, "socket", same)
    rules.add(errno.EPERM, "socket", _Compare(0, _AT_LEAST, _FAMILIES, 0))
    return rules.load()


class _Compare(ctypes.Structure):
    """struct scmp_arg_cmp of seccomp.h: an argument, how to compare it, and with what."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


class _Rules:
    """A filter of libseccomp, by ctypes: what PyPI has starts a compiler to find the library."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2")
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._filter = ctypes.c_void_p(self._library.seccomp_init(_ALLOW))

    def add(self, error: int, call: str, *compared: _Compare) -> None:
        """Where this machine has the call; one that it hasn't needs no rule."""
        number = self._library.seccomp_syscall_resolve_name(call.encode())
        if number == _NO_SUCH_CALL:
            return
        given = (_Compare * len(compared))(*compared)
        action = ctypes.c_uint32(_ERRNO | error)
        done = self._library.seccomp_rule_add_array(
            self._filter, action, number, len(compared), given
        )
        if done < 0 and -done != errno.EDOM:  # another architecture's
            raise OSError(-done, f"seccomp: {call}: {os.strerror(-done)}")

    def load(self) -> bool:
        """Put in force, also for threads that there are. What is executed later can't be
        set-user-id: it sets NO_NEW_PRIVS."""
        done = self._library.seccomp_attr_set(self._filter, _ALL_THREADS, ctypes.c_uint32(1))
        done = done or self._library.seccomp_load(self._filter)
        self._library.seccomp_release(self._filter)
        if done < 0 and -done not in (errno.ENOSYS, errno.EINVAL):
            raise OSError(-done, f"seccomp: {os.strerror(-done)}")
        return bool(done == 0)


def filters() -> int:
    """The mode that this thread is in: 2 with filters, 0 without (prctl(2), PR_GET_SECCOMP)."""
    return int(ctypes.CDLL(None).prctl(21, 0, 0, 0, 0))
