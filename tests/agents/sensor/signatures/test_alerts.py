"""From a rule and a capture to alerts, and ``ontoidps replay --rules`` as a user types it."""

from __future__ import annotations

import json
import struct
from importlib.resources import files
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from agents.main import main
from agents.sensor.signatures.alerts import SignatureAlerts
from datasets.captures.pcap import RawPackets, read_capture
from ontology.records import Alert
from rules.signatures.parse import read_rule

SAMPLE = Path(str(files("datasets").joinpath("samples"))) / "web-traversal.pcap.xz"
RULE = (
    'alert tcp any any -> any $HTTP_PORTS (msg:"own rule <script>"; flow:to_server,established; '
    'uricontent:"../"; classtype:web-application-attack; sid:1000001; rev:3;)'
)
ANSWER = (
    'alert tcp $HTTP_SERVERS $HTTP_PORTS -> any any (msg:"own answer"; flow:to_client,established; '
    'content:"HTTP/1."; depth:7; classtype:successful-admin; sid:1000002;)'
)
POLICY = (
    'alert tcp any any -> any any (msg:"own policy"; content:"HTTP/1."; '
    "classtype:policy-violation; sid:1000003;)"
)


def alerts(*rules: str) -> tuple[list[Alert], SignatureAlerts]:
    matching = SignatureAlerts([read_rule(r) for r in rules], sensor="test")
    found = [alert for raw in read_capture(SAMPLE) for alert in matching.on_packets(raw)]
    return found + matching.finish(), matching


def test_matches_of_one_pair_are_one_alert() -> None:
    (alert,), matching = alerts(RULE)
    assert (alert.classification, str(alert.source), str(alert.target)) == (
        "WebAttack",
        "192.0.2.66",
        "192.0.2.80",
    )
    assert (alert.target_port, alert.protocol, alert.verified_source) == (80, 6, True)
    assert alert.count == matching.hits[0] == 12
    assert alert.begin_us < alert.end_us
    assert "signature 1:1000001 revision 3 'own rule <script>'" in alert.explanation
    assert alerts(RULE)[0][0].id == alert.id


def test_an_alert_names_individual_cve_service_and_system() -> None:
    about = "reference:cve,2021-41773; metadata:affected_product Linux, attack_target Web_Server; "
    (alert,), _ = alerts(RULE.replace("sid:", about + "sid:"))
    assert alert.signatures == ("urn:ontoidps:signature:1:1000001",)
    assert alert.cves == ("CVE-2021-41773",)
    assert alert.affected_services == ("Web Server", "http")
    assert alert.affected_systems == ("Linux",)
    assert "names CVE-2021-41773; affects Web Server, http; on Linux" in alert.explanation
    (plain,), _ = alerts(RULE)
    assert (plain.cves, plain.affected_services, plain.affected_systems) == ((), ("http",), ())


def test_the_attacker_of_an_own_servers_answer_is_its_client() -> None:
    found, _ = alerts(ANSWER)
    assert {(str(a.source), str(a.target), a.target_port) for a in found} == {
        ("192.0.2.66", "192.0.2.80", 80)
    }
    assert {a.classification for a in found} == {"RootAccess"}


CLIENT, SERVER = ("198.51.100.7", 40000), ("192.0.2.80", 80)
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
ATTACK = b"GET /../../x HTTP/1.1\r\n\r\n"
End = tuple[str, int]


def tcp(src: End, dst: End, flags: int, seq: int, ack: int = 0, payload: bytes = b"") -> bytes:
    """A segment with twelve bytes of options, as most have."""
    body = struct.pack(">HHIIBBHHH", src[1], dst[1], seq, ack, 0x80, flags, 9, 0, 0)
    body += bytes(12) + payload
    ends = ip_address(src[0]).packed + ip_address(dst[0]).packed
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, 6, 0)
    return head + ends + body


def session(attack: bytes, seq: int = 1001) -> list[bytes]:
    """A connection of the client with one request, its sequence numbers from 1000 and 5000."""
    request = b"GET / HTTP/1.1\r\n\r\n" if seq != 1001 else attack
    end = 1001 + len(request)
    return [
        tcp(CLIENT, SERVER, SYN, 1000),
        tcp(SERVER, CLIENT, SYN | ACK, 5000, 1001),
        tcp(CLIENT, SERVER, ACK, 1001, 5001),
        tcp(CLIENT, SERVER, PSH | ACK, 1001, 5001, request),
        tcp(SERVER, CLIENT, PSH | ACK, 5001, end, b"HTTP/1.1 200 OK\r\n\r\n"),
    ]


def verified(*frames: bytes, rule: str = RULE) -> list[bool]:
    """Of the alerts of `RULE`, all packets at once; one by one must say the same."""
    lengths = np.array([len(f) for f in frames])
    starts, times = np.cumsum(lengths) - lengths, np.arange(len(frames))
    data = np.frombuffer(b"".join(frames), np.uint8)
    found = []
    for cuts in ([0, len(frames)], range(len(frames) + 1)):
        matching = SignatureAlerts([read_rule(rule)], sensor="test")
        for begin, end in pairwise(cuts):
            part = slice(begin, end)
            raw = RawPackets(
                data, starts[part], lengths[part], lengths[part], times[part], 101
            )  # 101: raw IP
            assert matching.on_packets(raw) == []  # waits
        found.append([alert.verified_source for alert in matching.finish()])
    assert found[0] == found[1]
    return found[0]


def test_an_acknowledged_payload_of_a_real_connection_verifies_its_source() -> None:
    assert verified(*session(ATTACK)) == [True]
    # The server may say so later, and in two steps.
    first, last = session(ATTACK)[:4], session(ATTACK)[4]
    bare = tcp(SERVER, CLIENT, ACK, 5001, 1001 + len(ATTACK))
    assert verified(*first, bare, tcp(SERVER, CLIENT, ACK | FIN, 5001, 1001 + len(ATTACK))) == [
        True
    ]
    assert verified(*first, last, last) == [True]


@pytest.mark.parametrize(
    "frames",
    [
        session(ATTACK)[:4],
        session(ATTACK)[2:],
        # The server acknowledges, but has nothing to say: so it answers out-of-window segments.
        [*session(ATTACK)[:4], tcp(SERVER, CLIENT, ACK, 5001, 1001 + len(ATTACK))],
        # Blind RST with a payload after somebody else's SYN.
        [*session(ATTACK)[:2], tcp(CLIENT, SERVER, RST | ACK, 1001, 77, ATTACK)],
        # Forged into the client's own connection, without knowing its sequence numbers.
        [*session(b"", seq=0), tcp(CLIENT, SERVER, PSH | ACK, 900_000, 1, ATTACK),
         tcp(SERVER, CLIENT, PSH | ACK, 5020, 1019, b"more")],
    ],
    ids=["unanswered", "mid-stream", "only acknowledged", "blind reset", "forged into"],
)  # fmt: skip
def test_a_source_that_could_be_forged_is_not_verified(frames: list[bytes]) -> None:
    assert set(verified(*frames)) <= {False}


def test_a_forged_payload_in_a_real_connection_still_gives_its_alert() -> None:
    forged = tcp(CLIENT, SERVER, PSH | ACK, 900_000, 1, ATTACK)
    assert verified(*session(b"", seq=0), forged) == [False]


def test_what_is_no_attack_is_counted_and_gives_no_alert() -> None:
    found, matching = alerts(POLICY)
    assert found == []
    assert matching.hits[0] > 0


def test_replay_matches_rules_and_says_how_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "own.rules"
    rules.write_text(RULE + '\nalert tcp any any -> any 80 (msg:"x"; ttl:1; sid:5;)\n')
    assert main(["replay", str(SAMPLE), "--rules", str(rules), "--json"]) == 0
    out, err = capsys.readouterr()
    records = [json.loads(line) for line in out.splitlines()]
    (ours,) = [r for r in records if "1000001" in r["explanation"] and r["type"] == "alert"]
    assert (ours["class"], ours["source"], ours["verified_source"]) == (
        "WebAttack",
        "192.0.2.66",
        True,
    )
    assert "1 of 2 signatures in use (left out: 1 ttl)" in err
    assert "rule 1:5 left out: ttl\n" in err


def test_replay_puts_variables_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = tmp_path / "own.rules"
    rules.write_text(RULE)
    arguments = ["replay", str(SAMPLE), "--rules", str(rules), "--rule-variable", "HTTP_PORTS=81"]
    assert main(arguments) == 0
    assert "own rule" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rules", "absent.rules"], "no such file"),
        (["--rule-variable", "HOME_NET=everywhere"], "everywhere"),
        (["--rule-variable", "HOME_NET"], "not NAME=SET"),
        (["--rule-variable", "HTTP_PORTS=70000"], "no port"),
    ],
)
def test_mistakes_are_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["replay", str(SAMPLE), *arguments]) == 1
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_whoever_was_called_is_not_verified_by_what_he_answers() -> None:
    """An own host can be made to fetch anything from anybody."""
    frames = session(b"GET / HTTP/1.1\r\n\r\n")[:4]
    end = 1001 + len(b"GET / HTTP/1.1\r\n\r\n")
    answer = [
        tcp(SERVER, CLIENT, PSH | ACK, 5001, end, ATTACK),
        tcp(CLIENT, SERVER, PSH | ACK, end, 5001 + len(ATTACK), b"thanks"),
    ]
    rule = (
        'alert tcp any any -> any any (msg:"own rule"; content:"../"; '
        "classtype:web-application-attack; sid:1000004;)"
    )
    assert verified(*frames, *answer, rule=rule) == [False]
    assert verified(*session(ATTACK), rule=rule) == [True]
