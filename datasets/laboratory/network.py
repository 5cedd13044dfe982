"""A network laboratory that vanishes by itself: for tests, the demo and sample traffic.

`run_in_sandbox` starts a command in user, mount, PID and network namespaces of its own; inside,
`Lab` makes further network namespaces and wires them. Nothing is ever made in the host's network
namespace, and nothing stays behind, not even after ``kill -9``: the kernel takes namespaces,
interfaces, nftables tables and processes away with the sandbox's first process. Works as root and,
where the system allows user namespaces, as an ordinary user.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from datasets.laboratory.sandbox import MARKER

_NAME = re.compile(r"[a-z][a-z0-9.-]{0,14}")
# Ordinary users often lack these in PATH, and `nft` and `ip` live there.
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_TOOLS = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "mount": "mount",
    "ip": "iproute2",
    "nft": "nftables",
}
_CAP_NET_ADMIN, _CAP_SYS_ADMIN = 12, 21  # linux/capability.h

_PROBE = """set -e
ip netns add probe-a; ip netns add probe-b
ip link add p0 netns probe-a type veth peer name p1 netns probe-b
ip -n probe-a link add br0 type bridge
echo 'table inet probe { set s { type ipv4_addr; flags timeout; counter; }; }' |
  nsenter --net=/run/netns/probe-a nft -f -
"""


class LabError(RuntimeError):
    """A laboratory command failed; the message names the command and what it said."""


def _search_path(environment: Mapping[str, str] = os.environ) -> str:
    parts = environment.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join([*parts, *(s for s in _SBIN if s not in parts)])


def _has_capabilities() -> bool:
    """True if this process may make namespaces without a user namespace around them."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    for line in status.splitlines():
        if line.startswith("CapEff:"):
            effective = int(line.split()[1], 16)
            return all(effective >> bit & 1 for bit in (_CAP_NET_ADMIN, _CAP_SYS_ADMIN))
    return False


class SandboxProcess(subprocess.Popen[str]):
    """A command inside a sandbox; text mode.

    It ends when the process that started it ends. ``terminate`` reaches the command itself (5 s
    later the sandbox is torn down), ``kill`` tears the whole sandbox down at once.
    """

    def __init__(
        self, argv: Sequence[str], *, user_namespace: bool | None = None, **kwargs: Any
    ) -> None:
        if user_namespace is None:
            user_namespace = not _has_capabilities()
        read, self._lifeline = os.pipe()
        environment = dict(kwargs.pop("env", None) or os.environ)
        environment["PATH"] = _search_path(environment)
        unshare = shutil.which("unshare", path=environment["PATH"]) or "unshare"
        command = [unshare]
        if user_namespace:
            command += ["--user", "--map-root-user"]
        command += ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        init = str(Path(__file__).with_name("sandbox.py"))
        command += [sys.executable, "-I", init, str(read), *argv]
        fds = (*kwargs.pop("pass_fds", ()), read)
        try:
            super().__init__(command, text=True, env=environment, pass_fds=fds, **kwargs)
        except BaseException:
            self._close_lifeline()
            raise
        finally:
            os.close(read)

    def send_signal(self, sig: int) -> None:
        """Send a signal to the command (SIGKILL: to the whole sandbox)."""
        if sig == signal.SIGKILL:
            super().send_signal(sig)
        elif self.poll() is None and self._lifeline >= 0:
            try:
                os.write(self._lifeline, bytes([sig]))
            except BrokenPipeError:
                pass  # it has just ended

    def _close_lifeline(self) -> None:
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is not None and self.poll() is None:
                self.kill()
            super().__exit__(kind, value, traceback)
        finally:
            self._close_lifeline()

    def __del__(self, *args: Any, **kwargs: Any) -> None:
        self._close_lifeline()
        super().__del__(*args, **kwargs)


def run_in_sandbox(
    argv: Sequence[str],
    *,
    user_namespace: bool | None = None,
    stdin: int | IO[Any] | None = None,
    stdout: int | IO[Any] | None = None,
    stderr: int | IO[Any] | None = None,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> SandboxProcess:
    """Start ``argv`` in a sandbox; use the result as a context manager, or wait for it.

    Args:
        user_namespace: None: only when this process lacks the capabilities to do without.

    Raises:
        OSError: ``unshare`` is missing. A kernel that refuses shows as a non-zero exit code:
            ask `why_unavailable` first.
    """
    return SandboxProcess(
        argv,
        user_namespace=user_namespace,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        env=env,
        pass_fds=tuple(pass_fds),
    )


def _sysctl(name: str) -> str | None:
    try:
        return Path("/proc/sys", *name.split(".")).read_text(encoding="ascii").strip()
    except OSError:
        return None


@functools.cache
def why_unavailable(*, user_namespace: bool | None = None) -> str | None:
    """None if a sandbox works here, else one line that says what is missing."""
    if sys.platform != "linux":
        return f"network namespaces need Linux, this is {sys.platform}"
    for tool, package in _TOOLS.items():
        if shutil.which(tool, path=_search_path()) is None:
            return f"the command {tool!r} is missing (Debian package {package})"
    if user_namespace is None:
        user_namespace = not _has_capabilities()
    if user_namespace:
        for name, refusing in (
            ("kernel.unprivileged_userns_clone", "0"),
            ("user.max_user_namespaces", "0"),
        ):
            if _sysctl(name) == refusing and not _has_capabilities():
                return f"user namespaces are switched off: sysctl {name} is {refusing}; or be root"
    with run_in_sandbox(
        ["sh", "-c", _PROBE],
        user_namespace=user_namespace,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as probe:
        try:
            _, said = probe.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            probe.kill()
            return "a trial sandbox did not end within 30 s"
    if probe.returncode == 0:
        return None
    last = (said.strip().splitlines() or [f"exit code {probe.returncode}"])[-1]
    if user_namespace and _sysctl("kernel.apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor restricts user namespaces: "
            f"sysctl kernel.apparmor_restrict_unprivileged_userns is 1; or be root ({last})"
        )
    return f"the kernel refuses network namespaces or nftables here: {last}"


def in_sandbox() -> bool:
    """True inside a sandbox, in its own first network namespace."""
    return os.environ.get(MARKER) == str(os.stat("/proc/self/ns/net").st_ino)


class Lab:
    """Network namespaces, wires and processes, inside a sandbox.

    Names of namespaces and interfaces are 1 to 15 letters, digits, dots and hyphens. IPv6 duplicate
    address detection is off, so an address can be used at once. Leaving the context stops the
    processes that `popen` started, newest first.

    Raises:
        LabError: not in a sandbox, or a command failed.
    """

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[str]] = []
        self.namespaces: list[str] = []

    def __enter__(self) -> Self:
        if not in_sandbox():
            raise LabError("a Lab works only inside run_in_sandbox, never on the host's network")
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            if process.poll() is None:
                process.terminate()
        for process in reversed(self._processes):
            try:
                process.wait(5.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        self._processes.clear()

    def namespace(self, name: str) -> str:
        """A new network namespace with its loopback up; gives the name back."""
        self._ip("netns", "add", _checked(name))
        self.namespaces.append(name)
        self._ip("-n", name, "link", "set", "lo", "up")
        for key in ("all", "default"):
            for setting in ("accept_dad", "accept_ra", "router_solicitations"):
                self.sysctl(name, f"net/ipv6/conf/{key}/{setting}", "0")
            # Inherited from the host, where it may be strict.
            self.sysctl(name, f"net/ipv4/conf/{key}/rp_filter", "0")
        return name

    def bridge(self, namespace: str, name: str) -> None:
        """A bridge, up; attach interfaces with `attach`."""
        # Without this the bridge forwards nothing for its first 15 s when STP is the default.
        self._ip(
            *("-n", namespace, "link", "add", _checked(name), "type", "bridge"),
            *("stp_state", "0", "forward_delay", "0"),
        )
        self._ip("-n", namespace, "link", "set", name, "up")

    def attach(self, namespace: str, interface: str, bridge: str) -> None:
        """Make an interface a port of a bridge in the same namespace."""
        self._ip("-n", namespace, "link", "set", interface, "master", bridge)

    def link(self, ns_a: str, if_a: str, ns_b: str, if_b: str) -> None:
        """A wire (veth pair) between two namespaces, both ends up."""
        self._ip(
            *("link", "add", _checked(if_a), "netns", ns_a, "type", "veth"),
            *("peer", "name", _checked(if_b), "netns", ns_b),
        )
        self._ip("-n", ns_a, "link", "set", if_a, "up")
        self._ip("-n", ns_b, "link", "set", if_b, "up")

    def address(
        self, namespace: str, interface: str, address: str | IPv4Interface | IPv6Interface
    ) -> None:
        """Give an interface an address, e.g. ``192.0.2.10/24`` or ``2001:db8::10/64``."""
        parsed = ip_interface(address)
        extra = ["nodad"] if parsed.version == 6 else []
        self._ip("-n", namespace, "address", "add", str(parsed), "dev", interface, *extra)

    def route(self, namespace: str, destination: str, via: str) -> None:
        """A route; ``default`` needs ``via`` to tell the family."""
        hop = ip_address(via)
        to = destination if destination == "default" else str(ip_network(destination))
        self._ip(f"-{hop.version}", "-n", namespace, "route", "add", to, "via", str(hop))

    def forwarding(self, namespace: str) -> None:
        """Let a namespace route IPv4 and IPv6."""
        self.sysctl(namespace, "net/ipv4/ip_forward", "1")
        self.sysctl(namespace, "net/ipv6/conf/all/forwarding", "1")

    def sysctl(self, namespace: str, name: str, value: str) -> None:
        """Set ``/proc/sys/NAME`` as that namespace sees it."""
        self.run(namespace, ["tee", f"/proc/sys/{name}"], input=value)

    def run(
        self,
        namespace: str,
        argv: Sequence[str],
        *,
        check: bool = True,
        timeout: float = 30.0,
        **kwargs: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a namespace and wait; its output is captured by default.

        Raises:
            LabError: a non-zero exit with ``check``, or ``timeout`` seconds went by.
        """
        return _run(self.command(namespace, argv), check=check, timeout=timeout, **kwargs)

    def popen(self, namespace: str, argv: Sequence[str], **kwargs: Any) -> subprocess.Popen[str]:
        """Start a process in a namespace (``pid`` is its own); stopped when the lab closes."""
        process = subprocess.Popen(self.command(namespace, argv), text=True, **kwargs)
        self._processes.append(process)
        return process

    def command(self, namespace: str, argv: Sequence[str]) -> list[str]:
        """The command line that runs ``argv`` in a namespace, for those who start it themselves."""
        # nsenter and not `ip netns exec`: that one also mounts sysfs anew, which containers forbid.
        return ["nsenter", f"--net=/run/netns/{_checked(namespace)}", "--", *argv]

    def _ip(self, *arguments: str) -> None:
        _run(["ip", *arguments], check=True, timeout=30.0)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise LabError(f"{name!r} is not a name of 1 to 15 letters, digits, dots and hyphens")
    return name


def _run(
    argv: list[str], *, check: bool, timeout: float, **kwargs: Any
) -> subprocess.CompletedProcess[str]:
    if not {"stdout", "stderr", "capture_output"} & kwargs.keys():
        kwargs["capture_output"] = True
    if "input" not in kwargs:
        kwargs.setdefault("stdin", subprocess.DEVNULL)
    try:
        done = subprocess.run(argv, text=True, check=False, timeout=timeout, **kwargs)
    except subprocess.TimeoutExpired as e:
        raise LabError(f"{' '.join(argv)}: not done after {timeout:g} s") from e
    except OSError as e:
        raise LabError(f"{argv[0]}: {e.strerror}") from e
    if check and done.returncode:
        said = (done.stderr or done.stdout or "").strip() or "no output"
        raise LabError(f"{' '.join(argv)}: exit {done.returncode}: {said[-800:]}")
    return done
