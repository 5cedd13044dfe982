"""What a host's own records say that happened on it: the record `HostEvent`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from ontology.host_profile import Address
from ontology.ranges import check_member, check_time

HostEventKind = Literal["login", "logout", "execution", "connection", "file-creation"]
HOST_EVENT_KINDS: Final[tuple[HostEventKind, ...]] = get_args(HostEventKind)

MAX_TEXT: Final = 1000
"""Characters of one text; attackers write the longest."""
MAX_EVENTS_OF_ALERT: Final = 16
MAX_ACCOUNTS: Final = 16
MAX_ACCOUNT_NAME: Final = 64
"""Characters of the name of an account that an alert is about."""
"""Host events that one alert names."""


def account_names(names: Iterable[str]) -> tuple[str, ...]:
    """Those that an alert may name, sorted; a long one is left out: a part of it would be another
    account."""
    found = {name for name in names if 0 < len(name) <= MAX_ACCOUNT_NAME and name.isprintable()}
    return tuple(sorted(found)[:MAX_ACCOUNTS])


def check_account_names(names: tuple[str, ...]) -> None:
    """Raises: ValueError: not as `account_names` gives them."""
    if account_names(names) != names:
        raise ValueError(
            f"users must be at most {MAX_ACCOUNTS}, sorted, of 1 to {MAX_ACCOUNT_NAME} printable "
            "characters"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HostEvent:
    """A login, a program started, a connection opened or a file made, as the host itself recorded
    it ("audit event", auditd(8); "log entry", RFC 4766 section 2.2 calls it an event).

    Whoever has taken the host can write such records: nothing in one proves an address.
    """

    id: str
    event_kind: HostEventKind
    """One of `HOST_EVENT_KINDS`."""
    host: Address
    """Where it happened."""
    source: Address | None = None
    """From where the session was opened in which it happened, as the login service recorded it;
    None for local sessions, for services, and where that is not known."""
    target: Address | None = None
    """Whom a connection was opened to."""
    target_port: int | None = None
    begin_us: int
    """By the host's own clock."""
    user_name: str = ""
    """The effective user: its name where the log has one, else its number."""
    login_name: str = ""
    """Who logged in at the begin of the session, whoever the user became since (auid)."""
    session_name: str = ""
    """As the host calls the session; empty outside of one."""
    process_id: int | None = None
    parent_process_id: int | None = None
    program: str = ""
    """Path of the executable file."""
    command_line: str = ""
    file_path: str = ""
    """The file that was made."""
    succeeded: bool = True
    sensor: str
    """Bare JID of the sensor that read it."""

    def __post_init__(self) -> None:
        check_member("event_kind", self.event_kind, HOST_EVENT_KINDS)
        check_time("begin_us", self.begin_us)
        if self.target_port is not None and not 0 <= self.target_port <= 65535:
            raise ValueError(f"target_port must lie in [0, 65535], got {self.target_port}")
        for name in ("process_id", "parent_process_id"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1 << 32:
                raise ValueError(f"{name} must lie in [0, 4294967295], got {value}")
        texts = ("user_name", "login_name", "session_name", "program", "command_line", "file_path")
        for name in texts:
            if len(getattr(self, name)) > MAX_TEXT:
                raise ValueError(f"{name} must be at most {MAX_TEXT} characters")
