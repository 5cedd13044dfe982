"""Which agent reasons with which version, as they have reported it; kept for restarts."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ontology.records import OntologyChanged
from ontology.whole_files import write_whole

logger = logging.getLogger(__name__)

RETRY_US = 600_000_000
"""After so long a version that was refused is sent again to who still asks: a reasoner that did not
come up may do so now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """What one agent has told of itself."""

    digest: str = ""
    """In force there."""
    version: str = ""
    refused: str = ""
    """Digest of what it refused last; empty once it has taken a version."""
    reason: str = ""
    at_us: int = 0
    """When it told this."""


class Receivers:
    """By bare JID. Blocks for file work.

    Args:
        path: the file; one that can't be read is started anew, since receivers ask again anyway.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Receiver] = {}
        try:
            found = json.loads(path.read_bytes())
            self._known = {name: Receiver(**told) for name, told in found.items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, AttributeError) as e:
            logger.warning("%s is unreadable, starting anew: %s", path, e)

    @property
    def known(self) -> Mapping[str, Receiver]:
        """What is known of each."""
        return self._known

    def took(self, name: str, change: OntologyChanged, now_us: int) -> None:
        """It has this version in force."""
        self._set(name, Receiver(digest=change.digest, version=change.version, at_us=now_us))

    def refused(self, name: str, change: OntologyChanged, now_us: int) -> None:
        """It has refused this version and goes on with what it had."""
        before = self._known.get(name, Receiver())
        self._set(
            name,
            Receiver(
                digest=before.digest,
                version=before.version,
                refused=change.digest,
                reason=change.detail,
                at_us=now_us,
            ),
        )

    def asks(self, name: str, digest: str, current: str, *, now_us: int) -> bool:
        """Whether one who says what it has in force is to be sent the current version."""
        if digest == current:
            return False
        known = self._known.get(name)
        if known is None or known.refused != current:
            return True
        if now_us - known.at_us < RETRY_US:
            return False
        self._set(name, Receiver(digest=digest, at_us=now_us))
        return True

    def _set(self, name: str, receiver: Receiver) -> None:
        if self._known.get(name) == receiver:
            return
        known = self._known | {name: receiver}
        text = json.dumps({key: asdict(value) for key, value in known.items()}, indent=1)
        try:
            write_whole(self._path, text.encode())
        except OSError as e:
            logger.warning("%s: %s", self._path, e.strerror)
        self._known = known
