"""What a rule says it is about, from words as authors write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.signatures.affected import MAX_NAMES, affected_by
from rules.signatures.parse import Signature, read_rule


def rule(metadata: str, message: str = "example", transport: str = "tcp") -> Signature:
    return read_rule(
        f'alert {transport} any any -> any 80 (msg:"{message}"; content:"abc"; '
        f"metadata:{metadata}; sid:1; rev:1;)"
    )


@pytest.mark.parametrize(
    ("metadata", "services", "systems"),
    [
        (
            "affected_product Apache_Struts2, attack_target Web_Server",
            "Apache Struts2|Web Server",
            "",
        ),
        ("affected_product Windows_XP_Vista_7_8_10_Server_32_64_Bit", "", "Windows"),
        ("attack_target Client_Endpoint, affected_product Linux", "", "Client Endpoint|Linux"),
        ("service smtp, policy security-ips drop", "smtp", ""),
        ("created_at 2019_01_01, tag abc", "", ""),
        ("affected_product Any, attack_target Any", "", ""),
    ],
)
def test_metadata_names_services_and_systems(metadata: str, services: str, systems: str) -> None:
    found = rule(metadata)
    assert ("|".join(found.services), "|".join(found.systems)) == (services, systems)


def test_the_protocol_that_a_rule_reads_is_a_service_and_cves_are_read_too() -> None:
    found = rule("cve CVE_2021_44228, cve 2021-45046", transport="http")
    assert found.services == ("http",)
    assert found.cves == ("CVE-2021-44228", "CVE-2021-45046")


@given(st.lists(st.text(max_size=80), max_size=30))
def test_what_strangers_write_stays_bounded(words: list[str]) -> None:
    services, systems = affected_by({"affected_product": words, "attack_target": words}, "", None)
    assert len(services) <= MAX_NAMES and len(systems) <= MAX_NAMES
    assert all(0 < len(name) <= 60 for name in (*services, *systems))
