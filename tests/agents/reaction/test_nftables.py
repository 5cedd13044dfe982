"""The kernel's firewall under real traffic: a gateway between strangers and a honeypot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.root

Traffic = Callable[[str], dict[str, Any]]
STRANGERS = ("attacker", "client", "monitor")
PATHS = [f"{target}/{version}" for target in ("honeypot", "gateway") for version in (4, 6)]


def _open(matrix: dict[str, bool]) -> set[str]:
    assert len(matrix) == len(STRANGERS) * len(PATHS)
    return {path.split(">")[0] for path, works in matrix.items() if works}


def _all(matrix: dict[str, bool], stranger: str) -> bool:
    return all(matrix[f"{stranger}>{path}"] for path in PATHS)


def test_block_cuts_off_one_stranger_and_nobody_else(everywhere: Traffic) -> None:
    result = everywhere("block_and_lift")
    assert all(result["before"].values())
    assert _open(result["during"]) == {"client", "monitor"}
    assert _all(result["during"], "client")
    assert _all(result["during"], "monitor")
    assert all(result["after"].values())
    assert result["lifted"] == [True, True]
    assert result["lifted_again"] is False


def test_nothing_is_sent_back_to_a_blocked_address(everywhere: Traffic) -> None:
    """Neither through the gateway nor by itself: replies to a forged source stay inside, too."""
    result = everywhere("block_and_lift")
    assert result["back"] == {f"{name}/{v}": False for name in ("honeypot1", "gw1") for v in (4, 6)}


def test_drops_are_counted(everywhere: Traffic) -> None:
    counters = everywhere("block_and_lift")["counters"]
    # Two probes to each of two targets, and two datagrams back.
    assert counters["blocked4"][0] >= 6
    assert counters["blocked6"][0] >= 6
    assert counters["allowed4"] == counters["allowed6"] == [0, 0]


def test_established_flow_is_cut(everywhere: Traffic) -> None:
    result = everywhere("established")
    for version in ("4", "6"):
        assert result[version] == ["one", "", "two"]


def test_allow_listed_address_passes_even_when_somebody_blocks_it(everywhere: Traffic) -> None:
    result = everywhere("allow_list")
    assert result["error"] == ""
    assert all(result["matrix"].values())
    assert result["answered"]
    assert result["counters"]["allowed4"][0] >= 2
    assert result["counters"]["allowed6"][0] >= 2
    assert result["counters"]["blocked4"] == result["counters"]["blocked6"] == [0, 0]


def test_block_of_an_allow_listed_address_is_refused(everywhere: Traffic) -> None:
    refused = everywhere("allow_list")["refused"]
    assert len(refused) == 4
    assert all(text.endswith("is on the allow-list") for text in refused)


def test_an_approval_makes_the_element_and_a_veto_prevents_it(traffic: Traffic) -> None:
    result = traffic("modes")
    waiting, decided, lifted = result["waiting"], result["decided"], result["lifted"]
    assert (waiting["said"], waiting["kernel"]) == ([], [])
    assert waiting["attacker"] == waiting["client"] == [True, True]
    assert decided["said"].count("active") == 2
    assert len(decided["kernel"]) == 2
    assert decided["attacker"] == [False, False]
    assert decided["client"] == [True, True]
    assert result["states"] == [["active", "active"]] * 2 + [["lifted", "lifted"]] * 2
    assert result["who"] == ["user:ana: unblock: vetoed"] * 2 + ["user:ana: block: blocked"] * 2
    assert lifted["kernel"] == []
    assert lifted["attacker"] == [True, True]
    assert len(result["left"]) == 2 and all(20 < left <= 30 for left in result["left"])
    assert result["undone"]["said"] == ["active"]
    assert result["undone"]["attacker"] == [False, True], "the last lift was that of IPv4"


def test_kernel_ends_the_block(traffic: Traffic) -> None:
    result = traffic("expiry")
    for version in ("4", "6"):
        assert result[version]["given"] == pytest.approx(1.2)
        assert not result[version]["during"]
        # 1.2 s since the order, of which the first probes took some.
        assert 0.3 < result[version]["seconds"] < 2.5
    assert result["left"] == 0


def test_restart_keeps_the_blocks_and_the_table(everywhere: Traffic) -> None:
    result = everywhere("restart")
    assert result["kept"]
    assert len(result["left"]) == 2
    assert all(55 < seconds <= 60 for seconds in result["left"].values())


def test_changed_schema_carries_the_blocks_over(everywhere: Traffic) -> None:
    result = everywhere("restart")
    assert result["replaced"]
    assert result["verified"]
    assert result["carried"].keys() == result["left"].keys()
    assert all(55 < seconds <= 60 for seconds in result["carried"].values())
    assert result["passes"] == [False, False]


@pytest.mark.parametrize(
    ("damage", "reinstalled", "restored"),
    [
        ("flush ruleset", True, 2),
        ("flush table", True, 0),
        ("delete set element", False, 1),
        ("flush set", False, 1),
        ("accept rule", True, 0),
        ("dormant", True, 0),
        ("allow everybody", True, 0),
        ("chain", True, 0),
    ],
)
def test_damage_is_noticed_and_mended(
    traffic: Traffic, damage: str, reinstalled: bool, restored: int
) -> None:
    result = traffic("drift")[damage]
    assert result["error"] == ""
    assert not result["quiet"]
    assert result["verified"] is not reinstalled
    assert result["reinstalled"] is reinstalled
    assert len(result["restored"]) == restored
    assert result["passes"] == [False, False]
    assert not result["again"]
    assert result["healed"]
    assert result["seconds"] < 5


def test_block_works_when_the_table_is_gone(traffic: Traffic) -> None:
    result = traffic("block_without_table")
    assert result["one"] is False
    assert result["told"] is True
    assert result["many"] == 100


def test_renewal_takes_the_later_end(traffic: Traffic) -> None:
    result = traffic("renew")
    assert result["ends"][0] == 5
    assert result["ends"][1] == 60
    assert 59 < result["ends"][2] <= 60
    assert 59 < result["end"] <= 60
    assert 58 < result["kept"] <= 60
    assert result["rounds"] > 50
    assert 59 < result["last"] <= 60


def test_ten_thousand_at_once(everywhere: Traffic) -> None:
    result = everywhere("bulk")
    assert result["same"]
    assert 890 < result["shortest"] <= 900
    assert result["one"] == 60
    assert result["moved"]
    assert result["carried"] == 10_001
    assert result["added_s"] < 6
    assert result["renewed_s"] < 6


def test_other_tables_are_left_alone(traffic: Traffic) -> None:
    result = traffic("others")
    assert result["same"]
    assert result["tables"] == ["table ip other"]


def test_agent_core_on_the_kernel(traffic: Traffic) -> None:
    result = traffic("enforcement")
    assert result["states"] == ["active", "active", "refused", "refused", "refused", "active"]
    assert 15 < result["shortened"] <= 20
    assert result["ended"] == ["203.0.113.77 expired"]
    assert result["expired_s"] < 3
    assert result["mended"] == [False, False]
    assert result["drift"] == 1
    assert result["kept"] == result["restored"] == ["192.0.2.66", "2001:db8:1::42"]
    assert result["after"] == [False, False]


def test_missing_capability_is_one_clear_line(traffic: Traffic) -> None:
    result = traffic("no_capability")
    assert result["err"] == ""
    (line,) = result["out"].splitlines()
    assert "CAP_NET_ADMIN" in line
