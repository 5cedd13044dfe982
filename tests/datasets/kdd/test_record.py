"""All 41 features of single connections, their names, and the documentation of each."""

from __future__ import annotations

import gzip
import os
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.analyzer import kdd_features
from datasets.kdd.kdd99 import FEATURES
from datasets.kdd.record import HOW, WORDS, KddRecorder, as_lines, as_markdown, has_record
from datasets.kdd.services import SERVICES
from datasets.kdd.windows import FLAGS, REJ_ERRORS, SYN_ERRORS
from ontology.records import CONNECTION, CONNECTION_STATES, CONTENT_FLAGS

FIN, SYN, RST, ACK = 1, 2, 4, 16


def one(**values: Any) -> Any:
    row = np.zeros(1, CONNECTION)
    row["protocol"], row["ip_version"], row["dst_port"], row["src_port"] = 6, 4, 80, 4000
    row["dst"][0, 15] = 1
    for name, value in values.items():
        if name == "state":
            value = CONNECTION_STATES.index(value)
        if name == "said":
            name, value = "content_flags", sum(1 << CONTENT_FLAGS.index(one) for one in value)
        row[name] = value
    return row


def record(**values: Any) -> dict[str, Any]:
    made = KddRecorder().records(one(**values))
    return {
        name: WORDS[name][int(column[0])] if name in WORDS else column[0]
        for name, column in made.items()
    }


def test_record_has_the_features_in_the_files_order() -> None:
    assert tuple(KddRecorder().records(one())) == FEATURES
    (line,) = as_lines(KddRecorder().records(one()))
    assert line == (
        "0,tcp,http,OTH" + ",0" * 18 + ",1,1,0.00,0.00,0.00,0.00,1.00,0.00,0.00"
        ",1,1,1.00,0.00,1.00,0.00,0.00,0.00,0.00,0.00"
    )


def test_every_feature_is_documented_in_order_and_the_page_shows_it() -> None:
    assert tuple(HOW) == FEATURES
    page = Path(__file__).parents[3] / "docs" / "records.md"
    assert as_markdown() in page.read_text(encoding="utf-8")


def test_words_are_those_of_the_task() -> None:
    assert set(SERVICES) == set(kdd_features.SERVICES)
    assert set(FLAGS) == set(kdd_features.FLAGS)


@pytest.mark.parametrize(
    ("state", "orig", "resp", "flag"),
    [
        ("SF", SYN | FIN | ACK, SYN | FIN | ACK, "SF"),
        ("S0", SYN, 0, "S0"),
        ("S1", SYN | ACK, SYN | ACK, "S1"),
        ("S1", SYN | ACK | FIN, SYN | ACK, "S2"),
        ("S1", SYN | ACK, SYN | ACK | FIN, "S3"),
        ("REJ", SYN, RST | ACK, "REJ"),
        ("RSTO", SYN | RST, SYN | ACK, "RSTO"),
        ("RSTR", SYN | ACK, SYN | ACK | RST, "RSTR"),
        ("S0", SYN | RST, 0, "RSTOS0"),
        ("OTH", SYN | RST, ACK, "RSTOS0"),
        ("SH", SYN | FIN, 0, "SH"),
        ("OTH", ACK, ACK, "OTH"),
    ],
)
def test_flags(state: str, orig: int, resp: int, flag: str) -> None:
    assert record(state=state, orig_flags=orig, resp_flags=resp)["flag"] == flag


@pytest.mark.parametrize(
    ("protocol", "ports", "kind", "service"),
    [
        (6, (4000, 21), "tcp", "ftp"),
        (6, (20, 4000), "tcp", "ftp_data"),
        (6, (4000, 6005), "tcp", "X11"),
        (6, (4000, 161), "tcp", "private"),
        (6, (4000, 50000), "tcp", "private"),
        (6, (4000, 3000), "tcp", "other"),
        (17, (4000, 53), "udp", "domain_u"),
        (17, (4000, 161), "udp", "private"),
        (17, (20, 4000), "udp", "other"),
        (1, (8, 0), "icmp", "eco_i"),
        (1, (0, 0), "icmp", "ecr_i"),
        (1, (3, 3), "icmp", "urp_i"),
        (1, (3, 1), "icmp", "urh_i"),
        (1, (13, 0), "icmp", "icmp"),
        (58, (128, 0), "icmp", "eco_i"),
        (58, (1, 4), "icmp", "urp_i"),
    ],
)
def test_services(protocol: int, ports: tuple[int, int], kind: str, service: str) -> None:
    got = record(protocol=protocol, src_port=ports[0], dst_port=ports[1], state="OTH")
    assert (got["protocol_type"], got["service"]) == (kind, service)
    assert got["flag"] == ("OTH" if kind == "tcp" else "SF")


def test_basic_and_content_values() -> None:
    got = record(
        dst_port=21, duration_us=2_999_999, orig_bytes=10, resp_bytes=2**40, wrong_fragments=3,
        urgent=2, hot=4, indicators=0b110001, failed_logins=9, compromised=1, root_actions=255,
        file_creations=2, shells=3, access_files=5, said=CONTENT_FLAGS,
    )  # fmt: skip
    wanted = {
        "duration": 2, "src_bytes": 10, "dst_bytes": 2**40, "wrong_fragment": 3, "urgent": 2,
        "hot": 5, "num_failed_logins": 9, "logged_in": 1, "num_compromised": 1, "root_shell": 1,
        "su_attempted": 1, "num_root": 255, "num_file_creations": 2, "num_shells": 3,
        "num_access_files": 5, "num_outbound_cmds": 0, "is_host_login": 1, "is_guest_login": 1,
        "land": 0,
    }  # fmt: skip
    assert {name: int(got[name]) for name in wanted} == wanted
    refused = record(dst_port=21, said=("HostLogin", "GuestLogin"))
    assert (refused["is_host_login"], refused["is_guest_login"], refused["logged_in"]) == (0, 0, 0)


def test_web_request_that_was_served_is_logged_in_as_in_the_files() -> None:
    served = {"resp_flags": SYN | ACK, "resp_bytes": 9}
    assert record(**served)["logged_in"] == 1
    assert record(**served, failed_logins=1)["logged_in"] == 0
    assert record(resp_flags=SYN | ACK)["logged_in"] == 0
    assert record(**served, dst_port=22)["logged_in"] == 0


def test_ping_has_its_header_in_the_bytes_and_no_port() -> None:
    got = record(protocol=1, src_port=8, dst_port=8, src=0, dst=0, orig_bytes=10, orig_packets=2)
    assert (got["src_bytes"], got["dst_bytes"], got["land"]) == (26, 0, 0)
    assert record(src_port=80, dst=0)["land"] == 1


def test_other_protocols_have_no_record() -> None:
    rows = np.concatenate([one(protocol=number) for number in (1, 6, 17, 58, 47, 254, 0)])
    assert has_record(rows).tolist() == [True] * 4 + [False] * 3


@pytest.mark.data
def test_errors_and_words_are_those_of_the_real_file() -> None:
    """Records alone in their window (count 1) tell which flags count as errors; no word is new."""
    root = os.environ.get("ONTOIDPS_DATA")
    if root is None:
        pytest.skip("ONTOIDPS_DATA does not name the folder with kddcup99")
    columns = ("protocol_type", "service", "flag", "count", "serror_rate", "rerror_rate")
    pick = itemgetter(*(FEATURES.index(name) for name in (*columns, "num_outbound_cmds")))
    with gzip.open(Path(root, "kddcup99/kddcup.data_10_percent.gz"), "rt") as file:
        seen = {pick(line.split(",")) for line in file}
    alone = {(flag, syn, rej) for _, _, flag, count, syn, rej, _ in seen if count == "1"}
    assert alone == {
        (flag, f"{flag in SYN_ERRORS:d}.00", f"{flag in REJ_ERRORS:d}.00") for flag in FLAGS
    }
    assert {service for _, service, *_ in seen} <= set(SERVICES)
    assert {flag for protocol, _, flag, *_ in seen if protocol != "tcp"} == {"SF"}
    assert {row[-1] for row in seen} == {"0"}
