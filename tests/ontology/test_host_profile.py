"""Host knowledge takes what can be true, and names what can't."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from ontology.fragments import decode, encode
from ontology.host_profile import HostProfile

HOST = HostProfile(
    id="urn:p",
    address=ip_address("198.51.100.18"),
    roles=("Honeypot",),
    operating_system="Debian 12",
    open_ports=(21, 80),
    open_services=("Apache 2.4", "vsftpd 3.0"),
    security_grade=0,
    fixed_vulnerabilities=("CVE-2014-6271",),
    protected_by=("packet filter",),
    agents=("sensor.gw1@honeynet.test",),
)


def test_a_fragment_says_all_that_is_known() -> None:
    text = encode([HOST])
    for said in (
        "idps:securityGrade 0",
        'idps:serviceOnHost "Apache 2.4" , "vsftpd 3.0"',
        'idps:fixedVulnerability "CVE-2014-6271"',
        'idps:protectedBy "packet filter"',
        'idps:runsAgent "sensor.gw1@honeynet.test"',
        'idps:operatingSystem "Debian 12"',
    ):
        assert said in text
    assert decode(text) == (HOST,)


def test_no_grade_is_not_the_lowest_grade() -> None:
    unknown = HostProfile(id="urn:p", address=HOST.address, roles=())
    assert unknown.security_grade is None
    assert "securityGrade" not in encode([unknown])
    assert decode(encode([unknown])) == (unknown,)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"security_grade": 6}, "security_grade must lie in [0, 5], got 6"),
        ({"security_grade": -1}, "security_grade must lie"),
        ({"fixed_vulnerabilities": ("CVE-14-1",)}, "fixed_vulnerabilities: 'CVE-14-1' is no CVE"),
        ({"fixed_vulnerabilities": ("CVE-2014-6271\n",)}, "no CVE name"),
        ({"open_services": ("",)}, "open_services: '' is not one line"),
        ({"protected_by": ("two\nlines",)}, "protected_by: 'two\\nlines' is not one line"),
        ({"protected_by": ("x" * 121,)}, "1 to 120 printable"),
        ({"agents": (" a",)}, "agents: ' a' is not one line"),
    ],
)
def test_what_no_host_can_be_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as refused:
        HostProfile(id="urn:p", address=HOST.address, roles=(), **changes)
    assert said in str(refused.value)
