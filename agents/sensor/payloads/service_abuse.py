"""Services without a lock, told to let somebody in: Redis, Docker's API, Android's debugger.

Two marks. *Control*: the service is told to do what its owner may do as well. *Takeover*: what only
somebody does who wants the host behind it: keys or a crontab written by way of Redis, a container
with the host's files, a program fetched through the debugger's shell.
"""

from __future__ import annotations

from agents.sensor.payloads.pattern_sets import PatternSet
from ontology.records import INDICATORS

CONTROL, TAKEOVER = (1 << INDICATORS.index(name) for name in ("ServiceControl", "ServiceTakeover"))
REDIS, DOCKER, ADB = (6379,), (2375, 4243), (5555,)
PORTS = (*REDIS, *DOCKER, *ADB)

# Between two words of a Redis command: blanks, or the next string of an array (RESP).
_NEXT = rb"(?:[ \t]+|\r\n\$\d+\r\n)"
_REDIS = (
    rb"\bconfig" + _NEXT + rb"set\b|\b(?:slaveof|replicaof)" + _NEXT + rb"[^n\r\n]"
    rb"|\bmodule" + _NEXT + rb"load\b",
    rb"\bset" + _NEXT + rb"dir" + _NEXT + rb"(?:/var/spool/cron|/etc/|/root/|/home/[^\r\n]*/\.ssh)"
    rb"|\bdbfilename" + _NEXT + rb"(?:authorized_keys|[^\r\n]*\.so\b)"
    rb"|\bload" + _NEXT + rb"(?:\./|/tmp/|/var/tmp/|/dev/shm/)|\bsystem\.exec\b"
    rb"|\beval" + _NEXT + rb"[^\0]*(?:\bpopen\b|\bos\.execute\b|\bloadlib\b)",
)
_DOCKER = (
    rb"^post /(?:v[\d.]+/)?(?:containers/create|containers/\w+/exec|exec/\w+/start|images/create)",
    rb'"binds"\s*:\s*\[\s*"/(?::|etc[:/]|root[:/]|var/run/docker)|"privileged"\s*:\s*true'
    rb'|"chroot"\s*,\s*"/',
)
_ADB = (
    rb"\b(?:shell|exec|sync):",
    rb"\b(?:shell|exec):[^\0]*(?:\bwget\b|\bcurl\b|\btftp\b|\bbusybox\b|/data/local/tmp)",
)


class ServiceAbuse:
    """Looks for both marks by the service's port. Not thread-safe."""

    def __init__(self) -> None:
        self._sets = {
            port: PatternSet(*patterns)
            for ports, patterns in ((REDIS, _REDIS), (DOCKER, _DOCKER), (ADB, _ADB))
            for port in ports
        }

    def look(self, payload: bytes, port: int) -> int:
        """Bits as in ``records.INDICATORS``; what takes over controls as well."""
        found = self._sets[port].found(payload)
        return (CONTROL | TAKEOVER) if found & 2 else CONTROL * (found & 1)
