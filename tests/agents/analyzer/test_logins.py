from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import numpy as np
import pytest

from agents.analyzer import logins
from agents.analyzer.findings import View
from agents.analyzer.logins import FORM_LOGINS, SESSIONS, services


def classes(alerts: list[Any]) -> set[str]:
    return {alert.classification for alert in alerts}


@pytest.mark.parametrize(
    ("port", "kind"),
    [
        (21, "FtpBruteForce"),
        (23, "TelnetBruteForce"),
        (25, "MailBruteForce"),
        (110, "MailBruteForce"),
    ],
)
def test_five_refusals_are_guessing(bench: Any, port: int, kind: str) -> None:
    def tries(count: int) -> list[Any]:
        return [
            bench.session(
                at=i, src_port=40000 + i, dst_port=port, failed_logins=1, login_attempts=1
            )
            for i in range(count)
        ]

    assert bench.alerts(tries(4)) == []
    [alert] = bench.alerts(tries(5))
    assert alert.classification == kind
    assert alert.source == ip_address(bench.attacker)
    assert alert.verified_source
    assert alert.target_port == port
    assert alert.confidence >= 0.5


def test_refusals_in_one_long_connection_count_report_by_report(bench: Any) -> None:
    rows = [
        bench.session(at=i, state="S1", dst_port=21, failed_logins=1, orig_flags="SAP")
        for i in range(5)
    ]
    assert classes(bench.alerts(rows, cut=1)) == {"FtpBruteForce"}


def test_refusals_an_hour_apart_are_forgetful_people(bench: Any) -> None:
    rows = [bench.session(at=i * 3600, dst_port=21, failed_logins=1) for i in range(10)]
    assert bench.alerts(rows, cut=1) == []


def test_browsers_may_be_refused_more_often(bench: Any) -> None:
    def tries(count: int) -> list[Any]:
        return [bench.session(at=i, failed_logins=1) for i in range(count)]

    assert bench.alerts(tries(logins.HTTP_REFUSALS - 1)) == []
    assert classes(bench.alerts(tries(logins.HTTP_REFUSALS))) == {"HttpBruteForce"}


def ssh(bench: Any, count: int, *, gap: float = 5.0, **row: Any) -> list[Any]:
    values = {"dst_port": 22, "orig_bytes": 2500, "resp_bytes": 2200, "duration": 3.0}
    return [bench.session(at=gap * i, src_port=40000 + i, **(values | row)) for i in range(count)]


def test_repeated_short_ssh_sessions_are_guessing(bench: Any) -> None:
    assert bench.alerts(ssh(bench, 7)) == []
    [alert] = bench.alerts(ssh(bench, 8))
    assert alert.classification == "SshBruteForce"
    assert alert.verified_source


def test_ssh_on_another_port_is_known_by_its_banner(bench: Any) -> None:
    assert classes(bench.alerts(ssh(bench, 8, dst_port=22222, indicators=1 << 4))) == {
        "SshBruteForce"
    }


def test_people_at_work_are_not_guessing(bench: Any) -> None:
    """Few sessions, big sessions, long sessions; and one session in a hundred reports."""
    assert bench.alerts(ssh(bench, 20, gap=30.0)) == []
    assert bench.alerts(ssh(bench, 20, orig_bytes=50_000)) == []
    assert bench.alerts(ssh(bench, 20, gap=1.0, duration=300.0)) == []
    reports = [
        bench.session(at=5.0 * i, duration=5.0, state="S1", orig_flags="SAP", resp_flags="SAP",
                      dst_port=22, orig_bytes=200)
        for i in range(100)
    ]  # fmt: skip
    reports.append(bench.session(at=500.0, dst_port=22, orig_bytes=20))
    assert bench.alerts(reports, cut=1) == []


def test_sessions_in_several_reports_count_once(bench: Any) -> None:
    """Eight sessions, each reported open and then ended: found at the eighth end, not before."""
    rows = []
    for i in range(8):
        common = {"src_port": 40000 + i, "dst_port": 22, "orig_bytes": 1000}
        rows.append(bench.session(at=6.0 * i, state="S1", orig_flags="SAP", **common))
        rows.append(bench.session(at=6.0 * i + 5, **common))
    assert bench.alerts(rows[:-1], cut=1) == []
    assert [alert.count for alert in bench.alerts(rows, cut=1)] == [8]


def test_services_by_port_and_banner(bench: Any) -> None:
    rows = np.concatenate(
        [bench.session(dst_port=21), bench.session(dst_port=8080),
         bench.session(dst_port=443, indicators=1 << 4)]
    )  # fmt: skip
    model = bench.blank_model()
    view = View(rows, model.assign(np.zeros((3, model.centers.shape[1]))))
    assert services(view).tolist() == ["FtpBruteForce", "HttpBruteForce", "SshBruteForce"]


def test_sessions_in_which_the_server_said_nothing_are_no_logins(bench: Any) -> None:
    """SYN and a blind RST with a payload, in another's name: only a SYN-ACK ever comes back."""
    forged = {"state": "RSTO", "orig_flags": "SAR", "resp_flags": "SA", "resp_bytes": 0}
    assert bench.alerts(ssh(bench, 20, **forged)) == []


def test_passwords_in_forms_and_in_every_request_of_a_client(bench: Any) -> None:
    """Neither is refused; only the forms are guesses."""

    def visits(count: int, indicators: int) -> list[Any]:
        return [
            bench.session(at=i, src_port=2000 + i, login_attempts=1, indicators=indicators)
            for i in range(count)
        ]

    assert bench.alerts(visits(200, 0), cut=7) == []
    assert bench.alerts(visits(FORM_LOGINS - 1, 1 << 7), cut=7) == []
    [alert] = bench.alerts(visits(FORM_LOGINS, 1 << 7), cut=1)
    assert (alert.classification, alert.verified_source) == ("HttpBruteForce", True)
    assert alert.confidence == 0.5


def test_remote_desktops_by_short_sessions(bench: Any) -> None:
    rows = [bench.session(at=i, dst_port=3389, src_port=2000 + i) for i in range(SESSIONS)]
    assert bench.alerts(rows, cut=1)[0].classification == "RdpBruteForce"


def test_registrations_of_telephones_over_udp(bench: Any) -> None:
    def refused(count: int) -> list[Any]:
        row = {"protocol": 17, "orig_flags": "", "resp_flags": "", "dst_port": 5060}
        return [bench.session(at=0, failed_logins=count, login_attempts=count, **row)]

    assert bench.alerts(refused(29)) == []
    [alert] = bench.alerts(refused(30))
    assert (alert.classification, alert.protocol) == ("SipBruteForce", 17)
    assert not alert.verified_source
