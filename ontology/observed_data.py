"""What visitors of decoys left behind: the record `ObservedData` (STIX 2.1 section 4.14)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ontology.host_profile import Address
from ontology.ranges import check_time

MAX_VALUES: Final = 32
"""Of one record, all kinds together."""
MAX_TEXT: Final = 200
"""Characters of one value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedData:
    """Credentials, commands, URLs and so on of one visitor at one service, as a log told them.

    It accuses nobody: what is judged are the alerts and connections of the same log.
    """

    id: str
    source: Address
    target: Address | None
    observed_port: int | None
    """The decoy's, as strangers see it."""
    begin_us: int
    end_us: int
    verified_source: bool
    """As in an alert: the source can't be forged off-path."""
    sensor: str
    input_kind: str
    """The kind of log, e.g. ``cowrie``."""
    credentials: tuple[str, ...] = ()
    """Tried: ``user:password``, one of them possibly empty."""
    commands: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    """Asked for, or fetched from; also paths and file names."""
    file_hashes: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    """What the client says it is, or how it is told by its ways (``hassh …``)."""

    def __post_init__(self) -> None:
        check_time("begin_us", self.begin_us)
        check_time("end_us", self.end_us)
        if self.observed_port is not None and not 0 <= self.observed_port <= 65535:
            raise ValueError(f"observed_port must lie in [0, 65535], got {self.observed_port}")
        values = [
            *self.credentials,
            *self.commands,
            *self.urls,
            *self.file_hashes,
            *self.clients,
        ]
        if len(values) > MAX_VALUES:
            raise ValueError(f"at most {MAX_VALUES} values, got {len(values)}")
        if any(len(value) > MAX_TEXT or not value.isprintable() for value in values):
            raise ValueError(f"a value is printable and of at most {MAX_TEXT} characters")
