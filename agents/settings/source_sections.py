"""What ``honeynet.toml`` says of addresses of others: scanners of researchers, shared addresses."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from agents.settings.fields import AllowedNetwork, HostText, Part
from agents.settings.problems import SettingsError
from ontology.records import Network

MAX_NETWORKS = 100_000
"""In one list."""
MAX_LIST_BYTES = 8 * 1024 * 1024
ClassName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,127}$")]


class KnownSources(Part):
    """Addresses of one kind, from a list that the operator loads."""

    kind: ClassName
    """A class below ``KnownSource`` of the ontology: ``ResearchScanner``, ``SharedAddress`` or one
    of the operator's own."""
    name: HostText
    """Who that is, for explanations: ``Censys``."""
    networks: tuple[AllowedNetwork, ...] = ()
    list: Path | None = None
    """A file with an address or a network a line; ``#`` begins a comment."""

    @model_validator(mode="after")
    def _check(self) -> KnownSources:
        if not self.networks and self.list is None:
            raise ValueError(f"{self.name!r} has neither networks nor a list")
        return self

    def read(self, base: Path) -> KnownSources:
        """With the networks of its list, which is relative to ``base``.

        Raises: SettingsError, with file and line.
        """
        if self.list is None:
            return self
        path = base / self.list
        found: dict[Network, None] = dict.fromkeys(self.networks)
        try:
            if path.stat().st_size > MAX_LIST_BYTES:
                raise SettingsError(f"{path}: larger than {MAX_LIST_BYTES} bytes")
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as e:
            raise SettingsError(f"{path}: can't be read: {e}") from e
        for number, line in enumerate(lines, 1):
            text = line.partition("#")[0].strip()
            if not text:
                continue
            try:
                found[ip_network(text)] = None
            except ValueError as e:
                raise SettingsError(
                    f"{path}:{number}: {text[:80]!r} is no address and no network like "
                    f"192.0.2.0/24: {str(e)[:120]}"
                ) from e
        if len(found) > MAX_NETWORKS:
            raise SettingsError(f"{path}: {len(found)} networks, at most {MAX_NETWORKS}")
        return self.model_copy(update={"networks": tuple(found), "list": path})
