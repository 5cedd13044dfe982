"""Lists of addresses that an operator loads."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import ValidationError

from agents.settings.problems import SettingsError
from agents.settings.source_sections import KnownSources


def entry(**values: object) -> KnownSources:
    return KnownSources.model_validate({"kind": "ResearchScanner", "name": "Censys", **values})


def test_a_list_is_read_beside_the_networks_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "censys.txt").write_text(
        "\ufeff# published 2026-11\n198.51.100.0/24 # lab\n\n2001:db8::1\n198.51.100.0/24\n",
        encoding="utf-8",
    )
    read = entry(networks=["203.0.113.7"], list="censys.txt").read(tmp_path)
    assert read.networks == tuple(
        map(ip_network, ("203.0.113.7", "198.51.100.0/24", "2001:db8::1"))
    )
    # Read once: what was read is not looked up beside another folder.
    assert read.list == tmp_path / "censys.txt"


def test_a_bad_line_is_named_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text("198.51.100.0/24\n198.51.100.1/24\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"l\.txt:2: '198\.51\.100\.1/24' is no address"):
        entry(list="l.txt").read(tmp_path)


@pytest.mark.parametrize("content", [None, b"\xff\xfe1"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "l.txt").write_bytes(content)
    with pytest.raises(SettingsError, match=r"l\.txt: can't be read"):
        entry(list="l.txt").read(tmp_path)


def test_an_entry_without_addresses_is_refused() -> None:
    with pytest.raises(ValidationError, match="neither networks nor a list"):
        entry()


def test_too_many_networks_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.settings.source_sections.MAX_NETWORKS", 1)
    (tmp_path / "l.txt").write_text("192.0.2.1\n192.0.2.2\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="2 networks, at most 1"):
        entry(list="l.txt").read(tmp_path)
