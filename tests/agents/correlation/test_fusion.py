from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.correlation.fusion import Fuser, senior_id
from ontology.host_event import MAX_EVENTS_OF_ALERT
from ontology.records import Alert

S = 1_000_000


def alert(
    number: int,
    begin_s: float = 0.0,
    length_s: float = 1.0,
    *,
    classification: str = "SynScan",
    source: str = "192.0.2.7",
    target: str = "198.51.100.5",
    port: int | None = None,
    count: int = 1,
    confidence: float = 0.9,
    verified: bool = False,
    targets: tuple[IPv4Address | IPv6Address, ...] = (),
) -> Alert:
    return Alert(
        id=f"urn:uuid:{number:032x}",
        classification=classification,
        source=IPv4Address(source),
        target=IPv4Address(target),
        targets=targets,
        target_port=port,
        protocol=6,
        begin_us=int(begin_s * S),
        end_us=int((begin_s + length_s) * S),
        count=count,
        confidence=confidence,
        verified_source=verified,
        sensor="gw1",
        analyzer="gw1",
        explanation=f"alert {number}",
    )


def test_repeats_become_one_senior_alert() -> None:
    (fused,) = Fuser().add([alert(1, 0, count=5), alert(2, 30, count=7, confidence=0.5)])
    one = fused.alert
    assert (one.count, one.begin_us, one.end_us) == (12, 0, 31 * S)
    assert (one.confidence, one.verified_source, one.stage) == (0.9, False, "senior")
    assert one.id == senior_id(alert(1)) and one.explanation == "alert 1"


def test_signatures_of_all_repeats_are_named() -> None:
    one = replace(alert(1), signatures=("urn:s:1",), cves=("CVE-2021-1111",))
    two = replace(alert(2, 3), signatures=("urn:s:2",), affected_systems=("Linux",))
    many = [replace(alert(n, n), signatures=(f"urn:s:{n}",)) for n in range(3, 40)]
    (fused,) = Fuser().add([one, two])
    assert fused.alert.signatures == ("urn:s:1", "urn:s:2")
    assert (fused.alert.cves, fused.alert.affected_systems) == (("CVE-2021-1111",), ("Linux",))
    (fused,) = Fuser().add([one, two, *many])
    assert len(fused.alert.signatures) == 16


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
def test_what_could_be_forged_does_not_become_part_of_what_could_not(order: tuple[int]) -> None:
    alerts = [alert(1, 0, count=200), alert(2, 1, verified=True), alert(3, 2, count=100)]
    fuser = Fuser()
    found = [f.alert for i in order for f in fuser.add([alerts[i]])]
    last = {one.verified_source: one for one in found}
    assert {verified: one.count for verified, one in last.items()} == {True: 1, False: 300}
    assert len(fuser) == 2


def test_the_gap_is_half_open() -> None:
    """60 s between end and begin is one finding no longer."""
    assert len(Fuser(gap_s=60).add([alert(1, 0, 1), alert(2, 60.999999)])) == 1
    assert len(Fuser(gap_s=60).add([alert(1, 0, 1), alert(2, 61)])) == 2


def test_other_source_target_or_class_is_another_finding() -> None:
    alerts = [
        alert(1),
        alert(2, source="192.0.2.8"),
        alert(3, target="198.51.100.6"),
        alert(4, classification="FinScan"),
    ]
    assert len(Fuser().add(alerts)) == 4


def test_port_tells_services_apart_but_not_scans() -> None:
    brute = [alert(i, classification="SshBruteForce", port=22 + i) for i in range(2)]
    assert len(Fuser().add(brute)) == 2
    assert len(Fuser().add([alert(1, port=80), alert(2, port=81)])) == 1


def test_growth_that_no_rule_looks_at_is_not_a_change() -> None:
    fuser = Fuser()
    assert fuser.add([alert(1, 0)])[0].changed
    assert not fuser.add([alert(2, 5)])[0].changed
    assert fuser.add([alert(3, 6, confidence=0.95)])[0].changed
    assert fuser.add([alert(4, 7, targets=(IPv4Address("198.51.100.9"),))])[0].changed


def near(number: int, distance: float, *, cluster: int = 1, confidence: float = 0.9) -> Alert:
    return replace(
        alert(number, number),
        confidence=confidence,
        cluster_number=cluster,
        cluster_name=f"cluster {cluster}",
        cluster_distance=distance,
    )


def changes(found: list[Alert]) -> list[bool]:
    fuser = Fuser()
    return [fuser.add([alert])[0].changed for alert in found]


def test_another_cluster_is_a_change() -> None:
    """Rules read it."""
    came = [near(1, 0.2), near(2, 0.2), near(3, 0.2, cluster=2), near(4, 0.1, cluster=2)]
    assert changes(came) == [True, False, True, True]


def test_a_change_of_distance_counts_by_tenths() -> None:
    """A shipped rule reads it at 1.0; the attacker chooses it."""
    assert changes([near(1, 1.04), near(2, 1.01), near(3, 1.0)]) == [True, False, True]
    away = [near(n, 1.5 + n % 7) for n in range(1, 200)]
    assert sum(changes(away)) <= 7
    assert changes([near(1, 1e308), near(2, 1e307)]) == [True, False]
    closer = [near(n, 0.9 - n / 1000) for n in range(1, 200)]
    assert sum(changes(closer)) <= 4


@given(st.permutations([near(n, d) for n, d in enumerate((3.0, 0.5, 1.2, 0.5), 1)]))
def test_the_least_distance_is_told_whatever_the_order(came: list[Alert]) -> None:
    fuser = Fuser()
    assert [fuser.add([alert]) for alert in came][-1][0].alert.cluster_distance == 0.5


def test_a_late_alert_joins_two_findings() -> None:
    fuser = Fuser(gap_s=60)
    old = [f.alert.id for f in fuser.add([alert(1, 0), alert(2, 100)])]
    (fused,) = fuser.add([alert(3, 50)])
    assert fused.alert.id == old[0] and fused.replaces == (old[1],)
    assert fused.alert.count == 3 and len(fuser) == 1


def test_a_closed_source_starts_anew() -> None:
    fuser = Fuser()
    first = fuser.add([alert(1, 0)])[0].alert
    fuser.close(IPv4Address("192.0.2.7"))
    second = fuser.add([alert(2, 1)])[0].alert
    assert second.id != first.id and second.count == 1 and len(fuser) == 1


def test_memory_is_bounded_and_evictions_are_counted() -> None:
    fuser = Fuser(capacity=10)
    fuser.add([alert(i, target=f"10.0.0.{i}", verified=True) for i in range(25)])
    assert len(fuser) == 10 and fuser.evicted == 15


def test_what_may_be_forged_pushes_out_nothing_that_is_verified() -> None:
    fuser = Fuser(capacity=10)
    real = [alert(i, target=f"10.0.0.{i}", verified=True) for i in range(10)]
    before = {f.alert.id for f in fuser.add(real)}
    for i in range(100, 400):
        fuser.add([alert(i, source=f"23.0.{i % 7}.{i % 250}", target=f"10.1.{i % 3}.{i % 250}")])
    assert len(fuser) <= 10 + 2
    again = [alert(1000 + i, 5, target=f"10.0.0.{i}", verified=True) for i in range(10)]
    # They grow on under the ids that they had.
    assert {f.alert.id for f in fuser.add(again)} == before


def test_what_was_forged_in_its_name_is_not_what_a_host_did() -> None:
    """A guess that was real lends its proof to none, and takes no confidence from others."""
    real = alert(1, 0, classification="FtpBruteForce", count=3, confidence=0.3, verified=True)
    forged = alert(2, 1, classification="FtpBruteForce", count=200, confidence=0.9)
    for given_ in ([real, forged], [forged, real]):
        one, two = sorted((f.alert for f in Fuser().add(given_)), key=lambda a: a.count)
        assert (one.verified_source, one.count, one.confidence) == (True, 3, 0.3)
        assert (two.verified_source, two.count, two.confidence) == (False, 200, 0.9)
        assert one.id != two.id


def test_a_finding_that_is_verified_now_takes_its_own_place_and_no_others() -> None:
    fuser = Fuser()
    (before,) = fuser.add([alert(1, 0, count=2)])
    (other,) = fuser.add([alert(9, 0, target="198.51.100.6")])
    (now,) = fuser.add([alert(1, 0, 5, count=6, verified=True)])
    assert now.replaces == (before.alert.id,) and now.changed
    assert (now.alert.count, now.alert.verified_source, len(fuser)) == (6, True, 2)
    # What others did under that name stays what it was.
    fuser.add([alert(2, 0, count=2), alert(3, 1, count=2)])
    (apart,) = fuser.add([alert(3, 1, count=4, verified=True)])
    assert apart.replaces == () and len(fuser) == 3 and apart.alert.count == 10
    assert other.alert.id != apart.alert.id


MANY = st.lists(
    st.builds(
        alert,
        st.integers(0, 2**64),
        st.integers(0, 600),
        st.integers(0, 90),
        classification=st.sampled_from(["SynScan", "FtpBruteForce"]),
        source=st.sampled_from(["192.0.2.7", "192.0.2.8"]),
        port=st.sampled_from([None, 21]),
        count=st.integers(1, 1000),
        confidence=st.floats(0, 1),
        verified=st.booleans(),
        targets=st.lists(
            st.integers(0, 60).map(lambda i: IPv4Address("10.0.0.0") + i), max_size=16, unique=True
        ).map(lambda found: tuple(sorted(found))),
    ),
    unique_by=lambda a: a.id,
    max_size=25,
)


def final(alerts: list[Alert], step: int) -> list[Alert]:
    """Senior alerts in force after feeding ``step`` alerts at a time."""
    fuser = Fuser()
    held: dict[str, Alert] = {}
    for i in range(0, len(alerts), step):
        for fused in fuser.add(alerts[i : i + step]):
            for old in fused.replaces:
                held.pop(old, None)
            held[fused.alert.id] = fused.alert
    assert len(fuser) == len(held)
    return sorted(held.values(), key=lambda a: a.id)


@given(MANY, st.randoms(use_true_random=False), st.integers(1, 25))
def test_order_and_batching_do_not_matter(alerts: list[Alert], rnd: object, step: int) -> None:
    shuffled = list(alerts)
    rnd.shuffle(shuffled)  # type: ignore[attr-defined]
    assert final(alerts, 25) == final(shuffled, step)


@given(MANY, st.integers(1, 25))
def test_nothing_is_lost(alerts: list[Alert], step: int) -> None:
    fused = final(alerts, step)
    assert sum(a.count for a in fused) == sum(a.count for a in alerts)
    for one in alerts:
        assert any(
            f.begin_us <= one.begin_us and one.end_us <= f.end_us and f.source == one.source
            for f in fused
        )


def test_host_events_of_fused_alerts_add_up_within_their_bound() -> None:
    """They explain: what they are is no reason to reason anew."""
    fuser = Fuser()
    first = replace(alert(1, 0), host_events=("urn:uuid:b",))
    fuser.add([first])
    [fused] = fuser.add([replace(alert(2, 2), host_events=("urn:uuid:a",))])
    assert fused.alert.host_events == ("urn:uuid:a", "urn:uuid:b")
    assert not fused.changed
    many = tuple(f"urn:uuid:{n:02d}" for n in range(MAX_EVENTS_OF_ALERT))
    [fused] = fuser.add([replace(alert(3, 4), host_events=many)])
    assert fused.alert.host_events == many
