"""Reaction rules: from tables that people edit, looked up by what is most special."""

from __future__ import annotations

import shutil
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path

import pytest

from ontology.records import HostProfile
from ontology.taxonomy import ATTACK_CLASSES
from rules.reactions.policy_tables import (
    ANY,
    ASSETS,
    ATTACKS,
    EXCEPTIONS,
    SERVICES,
    TableError,
    expand,
    read_tables,
)
from rules.reactions.reaction_rules import reactions_ttl, read_reactions, shipped_reactions
from rules.shipped_files import models_path

TABLES = (ATTACKS, SERVICES, ASSETS, EXCEPTIONS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in TABLES:
        shutil.copy(models_path().parent / name, tmp_path)
    return tmp_path


def profile(*roles: str, value: int = 0) -> HostProfile:
    return HostProfile(id="urn:x", address=ip_address("192.0.2.1"), roles=roles, asset_value=value)


def test_there_are_as_many_as_in_the_paper_each_with_a_reason() -> None:
    rules = shipped_reactions().rules
    assert len(rules) >= 1450
    assert len({rule.name for rule in rules}) == len(rules)
    for rule in rules:
        assert len(rule.response.reason) > 15 and rule.response.d3fend.startswith("D3-")
        assert (rule.response.response == "block") == (rule.response.factor > 0)


def test_every_attack_on_anything_has_a_rule() -> None:
    reactions = shipped_reactions()
    for attack in ATTACK_CLASSES:
        for service in (ANY, *reactions.services):
            for asset in reactions.assets:
                assert reactions.find(attack, service, asset)


@pytest.mark.parametrize(
    ("attack", "service", "asset", "name"),
    [
        ("SshBruteForce", "ssh", "honeypot", "SshBruteForce_ssh_honeypot"),
        ("SshBruteForce", "http", "honeypot", "SshBruteForce_any_honeypot"),
        ("HoneypotContact", "modbus", "honeypot", "HoneypotContact_modbus_honeypot"),
        ("HoneypotContact", "http", "honeypot", "HoneypotContact_any_honeypot"),
    ],
)
def test_most_special_rule_wins(attack: str, service: str, asset: str, name: str) -> None:
    assert shipped_reactions().find(attack, service, asset).name == name


def test_a_class_without_a_rule_gets_its_superclass(folder: Path) -> None:
    path = folder / ATTACKS
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(x for x in lines if not x.startswith(("SshBr", "BruteForce"))))
    (folder / "reactions.ttl").write_text(reactions_ttl(expand(read_tables(folder))))
    reactions = read_reactions(folder / "reactions.ttl")
    # The exception for BruteForce on ssh still makes rules; elsewhere they answer like Attack's.
    assert reactions.find("SshBruteForce", "ssh", "vital-server").attack == "BruteForce"
    other = reactions.find("SshBruteForce", ANY, "honeypot")
    assert other.attack == "BruteForce"
    assert other.response == reactions.find("Attack", ANY, "honeypot").response


def test_exceptions_win_over_the_tables_by_the_nearer_class_then_service_then_asset(
    folder: Path,
) -> None:
    path = folder / EXCEPTIONS
    tail = "block\t{}\tD3-ITF\tbecause it is so\t-"
    rows = ["Exploit\t*\t*", "Exploit\t*\thoneypot", "Exploit\tsmb\t*", "SqlInjection\t*\t*"]
    head = next(x for x in path.read_text().splitlines() if x.startswith("attack"))
    text = [head] + [f"{row}\t{tail.format(n)}" for n, row in enumerate(rows, 11)]
    path.write_text("\n".join(text) + "\n")
    rules = {rule.name: rule.response.factor for rule in expand(read_tables(folder))}
    assert rules["Exploit_ssh_server"] == 11
    assert rules["Exploit_ssh_honeypot"] == 12
    assert rules["Exploit_smb_honeypot"] == 13
    assert rules["BufferOverflow_smb_honeypot"] == 13
    assert rules["SqlInjection_http_honeypot"] == 14


def test_assets_and_services_are_recognised() -> None:
    reactions = shipped_reactions()
    assert reactions.asset_of(None) == "unknown"
    assert reactions.asset_of(profile("Honeypot", value=5)) == "honeypot"
    assert reactions.asset_of(profile("Gateway", value=5)) == "gateway"
    assert reactions.asset_of(profile("ProtectedHost", value=5)) == "vital-server"
    assert reactions.asset_of(profile("ProtectedHost", value=2)) == "server"
    assert reactions.asset_of(profile("ProtectedHost")) == "workplace"
    assert reactions.service_of(22, 6) == "ssh"
    assert reactions.service_of(22, 17) == ANY
    assert reactions.service_of(53, 17) == "dns"
    assert reactions.service_of(None, 6) == ANY
    # ICMP: a type is no port.
    assert reactions.service_of(22, 1) == ANY


def test_forged_sources_are_never_blocked_by_the_tables() -> None:
    reactions = shipped_reactions()
    for asset in reactions.assets:
        for attack in ("SpoofedLogin", "Spoofing", "AmplificationFlood"):
            assert reactions.find(attack, ANY, asset).response.response == "observe"


def test_file_reads_back_as_it_was_written(folder: Path) -> None:
    rules = expand(read_tables(folder))
    path = folder / "reactions.ttl"
    path.write_text(reactions_ttl(rules))
    back = read_reactions(path)
    assert back.rules == rules
    assert back.find("Exploit", "modbus", "server").response.factor == Decimal(8)


@pytest.mark.parametrize("text", ["", "@prefix", "<urn:a> <urn:b> 1 ."])
def test_a_damaged_file_is_refused(folder: Path, text: str) -> None:
    path = folder / "reactions.ttl"
    path.write_text(text)
    with pytest.raises(TableError, match=r"reactions\.ttl"):
        read_reactions(path)
