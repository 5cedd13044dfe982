"""What honeynet.toml says of hosts, from the file to the record."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from agents.settings.honeynet import SettingsError, load_settings
from ontology.records import HostProfile

HONEYNET = """
name = "lab"
[[node]]
name = "gw1"
agents = ["supervisor", "ontology", "correlation", "reaction"]
addresses = ["203.0.113.1", "2001:db8::1"]
host = { operating_system = "Debian 12", security_grade = 4, protected_by = ["packet filter"] }
[[honeypot]]
address = "198.51.100.5"
node = "gw1"
open_ports = [80, 21, 21]
open_services = ["vsftpd 3.0", "Apache 2.4"]
security_grade = 0
fixed_vulnerabilities = ["CVE-2021-44228", "CVE-2014-6271"]
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "honeynet.toml"
    path.write_text(text)
    return path


def test_all_that_is_known_of_hosts_is_in_their_records(tmp_path: Path) -> None:
    pot, first, second = load_settings(write(tmp_path, HONEYNET)).host_profiles()
    assert pot == HostProfile(
        id="urn:ontoidps:profile:198.51.100.5",
        address=ip_address("198.51.100.5"),
        roles=("Honeypot",),
        node="gw1",
        open_ports=(21, 80),
        open_services=("Apache 2.4", "vsftpd 3.0"),
        asset_value=2,
        security_grade=0,
        fixed_vulnerabilities=("CVE-2014-6271", "CVE-2021-44228"),
    )
    for profile in (first, second):
        assert profile.roles == ("Gateway",)
        assert (profile.operating_system, profile.security_grade) == ("Debian 12", 4)
        assert (profile.asset_value, profile.protected_by) == (5, ("packet filter",))
        assert profile.agents == tuple(
            f"{role}.gw1@honeynet.localdomain"
            for role in ("correlation", "ontology", "reaction", "supervisor")
        )
    assert str(second.address) == "2001:db8::1"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("security_grade = 0", "security_grade = 6", "honeypot '198.51.100.5': security_grade: "),
        ("security_grade = 4", "security_grade = -1", "node 'gw1': host.security_grade: "),
        ("CVE-2014-6271", "shellshock", "fixed_vulnerabilities: 'shellshock' is no CVE name"),
        ("vsftpd 3.0", "", "honeypot '198.51.100.5': open_services: '' is not one line"),
        ('["packet filter"]', '"x"', "node 'gw1': host.protected_by: must be a list (got 'x')"),
        ("security_grade = 0", "secure = true", "secure: there is no such key"),
    ],
)
def test_a_bad_value_is_named_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = write(tmp_path, HONEYNET.replace(old, new, 1))
    with pytest.raises(SettingsError) as error:
        load_settings(path)
    assert said in str(error.value)
    assert str(error.value).startswith(f"{path}:") and "\n" not in str(error.value)
