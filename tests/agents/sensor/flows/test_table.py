"""The flow table against a plain reading of its rules, and its bounds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.sensor.flows.automaton import Timeouts
from agents.sensor.flows.marks import Marks
from agents.sensor.flows.packets import ACK, FIN, RST, SYN, Packets
from agents.sensor.flows.table import FlowTable
from agents.sensor.flows.tcp_conversations import ANEW, CLIENT, OPEN, REJECTED, UNSURE, judge
from ontology.records import CONNECTION, CONNECTION_STATES

LIMITS = Timeouts(
    attempt_us=20,
    idle_tcp_us=60,
    idle_other_us=40,
    active_us=50,
    marked_us=10,
    grace_us=5,
    linger_us=30,
)


@dataclass(frozen=True)
class P:
    """One packet, as small integers; `columns` makes `Packets` of many."""

    time: int
    src: int
    dst: int
    sport: int = 1000
    dport: int = 80
    protocol: int = 6
    flags: int = 0
    size: int = 0
    version: int = 4
    wrong: bool = False
    urgent: bool = False
    mark: tuple[int, int, int] = (0, 0, 0)
    content: tuple[int, int] = (0, 0)  # "hot", and the flags
    by_server: bool = False
    seq: int = 0
    ack: int = 0


def address(number: int, version: int) -> bytes:
    if version == 4:
        return bytes(10) + b"\xff\xff" + bytes([10, 0, 0, number])
    return b"\x20\x01\x0d\xb8" + bytes(11) + bytes([number])


def columns(packets: list[P]) -> tuple[Packets, Marks]:
    def array(values: list[int] | list[bool], kind: str) -> np.ndarray:
        return np.array(values, kind)

    src = b"".join(address(p.src, p.version) for p in packets)
    dst = b"".join(address(p.dst, p.version) for p in packets)
    n = len(packets)
    marked = [i for i, p in enumerate(packets) if any(p.mark) or any(p.content)]
    content = np.zeros((len(marked), 7), np.uint8)
    content[:, [0, 6]] = np.array([packets[i].content for i in marked]).reshape(-1, 2)
    marks = np.array([packets[i].mark for i in marked], np.int64).reshape(-1, 3)
    return Packets(
        time_us=array([p.time for p in packets], "i8"),
        src=np.frombuffer(src, "u1").reshape(n, 16),
        dst=np.frombuffer(dst, "u1").reshape(n, 16),
        src_port=array([p.sport for p in packets], "u2"),
        dst_port=array([p.dport for p in packets], "u2"),
        protocol=array([p.protocol for p in packets], "u1"),
        ip_version=array([p.version for p in packets], "u1"),
        flags=array([p.flags for p in packets], "u1"),
        payload_bytes=array([p.size for p in packets], "i8"),
        payload_offset=np.zeros(n, "i8"),
        payload_length=np.zeros(n, "i8"),
        fragment=np.zeros(n, "?"),
        wrong_fragment=array([p.wrong for p in packets], "?"),
        urgent=array([p.urgent for p in packets], "?"),
        index=np.arange(n),
        data=np.zeros(0, "u1"),
        total=n,
        other=0,
        sequence=array([p.seq for p in packets], "u4"),
        acknowledgement=array([p.ack for p in packets], "u4"),
    ), Marks(
        np.array(marked, np.int64), marks[:, 0], marks[:, 1], marks[:, 2],
        content, np.array([packets[i].by_server for i in marked], bool),
    )  # fmt: skip


@dataclass
class Open:
    """A connection of the plain reading."""

    first: P
    swapped: bool
    flags: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    answered: bool = False
    closed: str = ""
    closed_at: int = 0
    last: int = 0
    report: list[tuple[bool, P]] = field(default_factory=list)
    said: list[tuple[int, int]] = field(default_factory=list)
    proven: bool = False
    loose: bool = False

    def state(self) -> str:
        mine, theirs = self.flags[True], self.flags[False]
        if self.first.protocol != 6:
            return "SF" if self.answered else "OTH"
        if not mine & SYN:
            return "OTH"
        if theirs & SYN:
            return self.closed or "S1"
        if self.closed == "RSTR":
            return "REJ"
        if self.answered:
            return "OTH"
        return "SH" if mine & FIN else "S0"

    def record(self) -> tuple[object, ...]:
        mine = [p for orig, p in self.report if orig]
        theirs = [p for orig, p in self.report if not orig]
        every = [p for _, p in self.report]
        indicators = 0
        for p in every:
            indicators |= p.mark[2]
        said = self.said
        bits = 0
        for _, more in said:
            bits |= more
        p = self.first
        ends = (p.src, p.sport, p.dst, p.dport)
        if self.swapped:
            ends = (p.dst, p.dport, p.src, p.sport)
        return (
            *ends, p.protocol, p.version, self.state(), self.flags[True], self.flags[False],
            every[0].time, every[-1].time - every[0].time, len(mine), len(theirs),
            sum(p.size for p in mine), sum(p.size for p in theirs),
            sum(p.wrong for p in every), sum(p.urgent for p in every),
            sum(p.mark[0] for p in theirs), sum(p.mark[1] for p in every), indicators,
            min(sum(hot for hot, _ in said), 255), bits, int(self.proven and not self.loose),
        )  # fmt: skip


def plain(packets: list[P], limits: Timeouts = LIMITS) -> list[tuple[object, ...]]:
    """The rules in `agents.sensor.flows.automaton`'s docstring, once more and as simply as
    possible."""
    open_: dict[object, Open] = {}
    talks: dict[object, list[int]] = {}
    out: list[tuple[object, ...]] = []

    def report(connection: Open) -> None:
        if connection.report:
            out.append(connection.record())
            connection.report, connection.said, connection.loose = [], [], False

    for p in packets:
        ends = sorted([(p.src, p.sport), (p.dst, p.dport)])
        key: object = (p.protocol, p.version, *ends)
        if p.protocol == 1:
            kind = {0: 8, 14: 13}.get(p.sport, p.sport)
            key = (p.protocol, p.version, *sorted([p.src, p.dst]), kind, p.dport)
        greater = (address(p.src, p.version), p.sport) > (address(p.dst, p.version), p.dport)
        talk = talks.setdefault(key, [0] * 6)
        standing = judge(talk, greater, p.flags, p.size, p.seq, p.ack)
        if p.protocol != 6 or standing == REJECTED:
            standing = OPEN if p.protocol != 6 else REJECTED
        if standing == REJECTED:
            continue
        if standing == UNSURE:
            p = replace(p, mark=(0, 0, 0), content=(0, 0))
        c = open_.get(key)
        syn = p.flags & (SYN | ACK | RST | FIN) == SYN
        fresh = c is None
        if c is not None and c.closed:
            since = p.time - c.closed_at
            if syn or since > limits.linger_us:
                fresh = True
            elif since > limits.grace_us:
                if not p.size:
                    continue
                report(c)
                c.flags, c.answered, c.closed = {True: 0, False: 0}, False, ""
        elif c is not None:
            idle = limits.idle_tcp_us if p.protocol == 6 else limits.idle_other_us
            if p.time - c.last > (idle if c.answered else limits.attempt_us):
                fresh = True
            elif c.report and not (standing == ANEW and c.proven):
                hurried = any(q.mark[0] or q.mark[1] or q.mark[2] & 15 for _, q in c.report)
                age = p.time - c.report[0][1].time
                if age >= (limits.marked_us if hurried else limits.active_us):
                    report(c)
        if c is not None and not fresh:
            ours = ((p.src, p.sport) == (c.first.src, c.first.sport)) != c.swapped
            if standing == ANEW and c.proven:
                fresh = True
            elif standing == CLIENT and ours and c.loose:
                report(c)
        if fresh:
            if c is not None:
                report(c)
            c = open_[key] = Open(p, p.flags & (SYN | ACK) == SYN | ACK)
        assert c is not None
        same = (p.src, p.sport) == (c.first.src, c.first.sport)
        if p.protocol == 1:
            same = p.src == c.first.src
        if (p.src, p.sport) == (p.dst, p.dport) or (p.protocol == 1 and p.src == p.dst):
            orig = not c.swapped
        else:
            orig = same != c.swapped
        seen = c.flags[True] | c.flags[False] | p.flags
        refusal = p.mark[0] and p.flags & ACK and p.sport == 21 and p.dport >= 1024
        if refusal and orig and not c.closed and not seen & SYN:
            c.swapped, c.flags = not c.swapped, {True: c.flags[False], False: c.flags[True]}
            c.report = [(not by, q) for by, q in c.report]
            orig, c.proven = False, False
        c.proven |= standing == CLIENT and orig
        c.loose |= standing == OPEN and p.size > 0
        c.report.append((orig, p))
        if orig != p.by_server:  # by the ends as they are known at this packet
            c.said.append(p.content)
        c.last = p.time
        c.answered |= not orig
        c.flags[orig] |= p.flags
        if not c.closed:
            if p.flags & RST:
                c.closed = "RSTO" if orig else "RSTR"
            elif c.flags[True] & c.flags[False] & FIN:
                c.closed = "SF"
            c.closed_at = p.time
    for c in open_.values():
        report(c)
    return sorted(out, key=repr)


def as_tuples(records: np.ndarray) -> list[tuple[object, ...]]:
    names = (
        "orig_flags resp_flags start_us duration_us orig_packets resp_packets orig_bytes resp_bytes"
        " wrong_fragments urgent failed_logins login_attempts indicators"
        " hot content_flags conversation"
    ).split()
    out: list[tuple[object, ...]] = [
        (
            int(r["src"][15]), int(r["src_port"]), int(r["dst"][15]), int(r["dst_port"]),
            int(r["protocol"]), int(r["ip_version"]), CONNECTION_STATES[r["state"]],
            *(int(r[name]) for name in names),
        )
        for r in records
    ]  # fmt: skip
    return sorted(out, key=repr)


flag_sets = st.sampled_from(
    [0, SYN, SYN, SYN | ACK, ACK, ACK, FIN | ACK, RST, RST | ACK, SYN | FIN]
)
packet_lists = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1, 1, 3, 6, 11, 25, 35, 70]),  # time since the packet before
        st.integers(1, 3),
        st.integers(1, 3),
        st.sampled_from([(1000, 80), (80, 1000), (80, 80), (21, 2000), (2000, 21)]),
        st.sampled_from([6, 6, 6, 17]),
        flag_sets,
        st.sampled_from([0, 0, 9]),
        st.sampled_from([4, 4, 6]),
        st.booleans(),
        st.sampled_from([(0, 0, 0)] * 6 + [(1, 0, 0), (0, 2, 0), (0, 0, 1), (0, 0, 16)]),
        st.sampled_from([(0, 0)] * 4 + [(3, 0), (200, 1), (0, 4)]),
        st.booleans(),
    ),
    max_size=60,
)


def build(rows: list[tuple[object, ...]]) -> list[P]:
    packets, now = [], 1_000_000
    for gap, src, dst, ports, protocol, flags, size, version, odd, mark, *said in rows:
        now += gap  # type: ignore[operator]
        if protocol == 17:
            flags = 0
        sport, dport = ports  # type: ignore[misc]
        packets.append(
            P(now, src, dst, sport, dport, protocol, flags, size, version, odd, odd, mark, *said)  # type: ignore[arg-type]
        )
    return packets


def run(packets: list[P], cuts: list[int], rounds: int, advance: bool) -> list[tuple[object, ...]]:
    table = FlowTable(LIMITS)
    table.rounds = rounds
    done = []
    for begin, end in zip([0, *cuts], [*cuts, len(packets)], strict=True):
        if begin < end:
            table.add(*columns(packets[begin:end]))
            if advance:
                done.append(table.advance(packets[end - 1].time))
    done.append(table.flush())
    return as_tuples(np.concatenate(done))


@settings(max_examples=300, deadline=None)
@given(packet_lists, st.lists(st.integers(0, 60), max_size=6), st.sampled_from([0, 1, 4, 99]))
def test_records_follow_the_rules_however_blocks_are_cut(
    rows: list[tuple[object, ...]], cuts: list[int], rounds: int
) -> None:
    packets = build(rows)
    inner = sorted(min(c, len(packets)) for c in cuts)
    expected = plain(packets)
    assert run(packets, inner, rounds, advance=True) == expected
    assert run(packets, [], rounds, advance=False) == expected


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, 3, 6, 11, 25]),
            st.just(1),
            st.just(2),
            st.sampled_from([(21, 2000), (2000, 21)]),
            st.just(6),
            st.sampled_from([ACK, ACK, ACK, ACK, FIN | ACK, RST, SYN]),
            st.sampled_from([0, 9]),
            st.just(4),
            st.just(False),
            st.sampled_from([(0, 0, 0), (1, 0, 0), (0, 1, 0)]),
            st.sampled_from([(0, 0), (200, 1)]),
            st.booleans(),
        ),
        max_size=40,
    ),
    st.lists(st.integers(0, 40), max_size=4),
    st.sampled_from([0, 1, 4, 99]),
)
def test_ends_change_where_the_server_spoke_first(
    rows: list[tuple[object, ...]], cuts: list[int], rounds: int
) -> None:
    """The same reference, on traffic nearly all of which is midstream logins; rows swap ends."""
    packets = [replace(p, src=2, dst=1) if p.sport == 21 else p for p in build(rows)]
    inner = sorted(min(c, len(packets)) for c in cuts)
    assert run(packets, inner, rounds, False) == plain(packets)


conversations = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1, 1, 3, 6, 11, 25, 35, 70]),
        st.sampled_from(["syn", "syn", "answer", "client", "client", "client", "server", "server",
                         "fin", "reset", "server reset", "greeting", "junk", "blind"]),
        st.sampled_from([0, 0, 9, 700]),
        st.sampled_from([(0, 0, 0)] * 3 + [(1, 0, 0), (0, 2, 0), (0, 0, 1), (0, 0, 16)]),
        st.sampled_from([(0, 0)] * 3 + [(3, 0)]),
        st.booleans(),
        st.sampled_from([0, 0, 0, 0, 0, 0, 1, 5000, 9000, 70_000, 2**30, 3 * 10**9]),
        st.sampled_from([0, 0, 0, 0, 0, 0, 1, 5000, 9000, 140_000, 2**30, 3 * 10**9]),
    ),
    max_size=50,
)  # fmt: skip


def converse(rows: list[tuple], ends: tuple[int, int] = (1, 2)) -> list[P]:
    """Two ends that talk with the right numbers, but for what is off by the last two columns."""
    client, server = ends
    packets, now = [], 1_000_000
    numbers = {client: 4_294_967_000, server: 77}
    for gap, kind, size, mark, content, by_server, off, ack_off in rows:
        now += gap
        who = server if kind in ("answer", "server", "server reset") else client
        if kind == "syn":
            numbers[client] += 4_000_000_000
        if kind == "answer" and off:
            numbers[server] += 123_456_789
        flags = {
            "syn": SYN, "answer": SYN | ACK, "fin": FIN | ACK, "reset": RST, "server reset": RST,
            "greeting": SYN | ACK,
        }.get(kind, ACK)  # fmt: skip
        other = server if who == client else client
        seq, ack = numbers[who], numbers[other]
        if kind in ("answer", "syn"):
            seq -= 1
        elif kind == "blind":
            ack += 1 << 31
        elif kind != "junk" or off or ack_off:
            seq, ack = seq + off, ack + ack_off
        if flags == SYN:
            ack = 0
        if kind in ("client", "server", "fin") and not off and not ack_off:
            numbers[who] += size + (flags & FIN)
        ports = (1000, 21) if who == client else (21, 1000)
        packets.append(P(now, who, other, *ports, 6, flags, size, 4, False, False, mark, content,
                         by_server, seq % 2**32, ack % 2**32))  # fmt: skip
    return packets


@settings(max_examples=300, deadline=None)
@given(
    conversations,
    conversations,
    st.booleans(),
    st.lists(st.integers(0, 100), max_size=6),
    st.sampled_from([0, 1, 4, 99]),
)
def test_conversations_are_proven_however_blocks_are_cut(
    one: list[tuple], other: list[tuple], greater: bool, cuts: list[int], rounds: int
) -> None:
    parts = converse(one, (3, 2) if greater else (1, 2)), converse(other, (4, 2))
    packets = sorted([p for part in parts for p in part], key=lambda p: p.time)
    inner = sorted(min(c, len(packets)) for c in cuts)
    expected = plain(packets)
    assert run(packets, inner, rounds, advance=False) == expected
    assert run(packets, [], rounds, advance=False) == expected


@pytest.mark.parametrize("rounds", [0, 1, 4])
def test_a_packet_that_counts_nowhere_is_no_answer(rounds: int) -> None:
    """Late and empty after a reset, in one block with it: the attempt stays unanswered (S0)."""
    packets = [P(0, 1, 2, flags=SYN), P(0, 1, 2, flags=RST), P(6, 2, 1, 80, 1000, flags=ACK)]
    ((*_, state, ours, theirs), *rest) = [record[:9] for record in run(packets, [], rounds, False)]
    assert (state, ours, theirs, rest) == ("S0", SYN | RST, 0, [])


def test_refusal_seen_midstream_makes_its_sender_the_responder() -> None:
    table = FlowTable()
    hello = P(10, 2, 1, sport=21, dport=2000, flags=ACK)
    refusal = P(20, 2, 1, sport=21, dport=2000, flags=ACK, size=9, mark=(1, 0, 0))
    table.add(*columns([hello, refusal, P(30, 1, 2, sport=2000, dport=21, flags=ACK)]))
    (row,) = table.flush()
    assert (int(row["src_port"]), int(row["dst_port"]), row["src"][15]) == (2000, 21, 1)
    assert (row["failed_logins"], row["orig_packets"], row["resp_packets"]) == (1, 1, 2)
    # Seen from its SYN, or to a low port, it stays what it was: a claim that counts for nothing.
    for first in (replace(hello, flags=SYN), replace(hello, dport=80)):
        table.add(*columns([first, replace(refusal, dport=first.dport)]))
        (row,) = table.flush()
        assert (row["src_port"], row["failed_logins"]) == (21, 0)


def test_reports_when_due_without_further_packets() -> None:
    table = FlowTable()
    table.add(*columns([P(0, 1, 2, flags=SYN)]))
    assert len(table.advance(2_000_000)) == 0
    (record,) = table.advance(2_100_000)
    assert CONNECTION_STATES[record["state"]] == "S0"
    assert len(table) == 0


def test_closed_connection_is_reported_within_a_quarter_second_and_late_acks_are_passed_over() -> (
    None
):
    table = FlowTable()
    table.add(
        *columns([
            P(0, 1, 2, flags=SYN), P(1, 2, 1, 80, 1000, flags=SYN | ACK), P(2, 1, 2, flags=ACK),
            P(3, 1, 2, flags=FIN | ACK), P(4, 2, 1, 80, 1000, flags=FIN | ACK),
        ])
    )  # fmt: skip
    (record,) = table.advance(250_000)
    assert CONNECTION_STATES[record["state"]] == "SF"
    table.add(*columns([P(300_000, 1, 2, flags=ACK)]))
    assert len(table.flush()) == 0


def test_late_payload_after_a_forged_reset_is_seen_with_the_same_originator() -> None:
    table = FlowTable()
    table.add(*columns([P(0, 1, 2, flags=SYN), P(1, 1, 2, flags=RST)]))
    table.add(*columns([P(500_000, 2, 1, 80, 1000, flags=ACK, size=7, mark=(1, 0, 0))]))
    records = np.concatenate([table.advance(900_000), table.flush()])
    assert [int(r["src"][15]) for r in records] == [1, 1]
    assert records["failed_logins"].tolist() == [0, 1]


def test_icmp_request_and_reply_are_one_record() -> None:
    table = FlowTable()
    table.add(*columns([P(0, 1, 2, 8, 0, 1), P(1, 2, 1, 0, 0, 1)]))
    (record,) = table.flush()
    assert (record["src_port"], record["orig_packets"], record["resp_packets"]) == (8, 1, 1)
    assert CONNECTION_STATES[record["state"]] == "SF"


def test_arp_request_and_reply_are_one_record() -> None:
    table = FlowTable()
    table.add(*columns([P(0, 1, 2, 1, 0, 254), P(1, 2, 1, 2, 0, 254)]))
    (record,) = table.flush()
    assert (record["src_port"], record["resp_packets"]) == (1, 1)


def test_full_table_reports_unanswered_connections_early_and_keeps_answered_ones() -> None:
    table = FlowTable(max_flows=64)
    table.add(*columns([P(0, 1, 2, flags=SYN), P(1, 2, 1, 80, 1000, flags=SYN | ACK)]))
    flood = [P(10 + i, 3, 2, i, 80, flags=SYN) for i in range(1000)]
    table.add(*columns(flood))
    assert len(table) <= 64
    early = table.advance(1011)
    assert table.evicted == len(early) == 1001 - len(table)
    assert (early["src"][:, 15] == 3).all()
    everything = np.concatenate([early, table.flush()])
    assert int(everything["orig_packets"].sum()) == 1001
    assert (everything["resp_packets"] > 0).sum() == 1


def test_hash_collision_is_answered_with_new_multipliers(monkeypatch: pytest.MonkeyPatch) -> None:
    """All-even multipliers let keys that differ in the highest port bit collide."""
    table = FlowTable()
    table._multipliers = [0] * 10
    packets = [P(i, 1, 2, 1000 + i, 80, flags=SYN) for i in range(100)]
    table.add(*columns(packets))
    assert any(table._multipliers)
    assert len(table) == 100
    assert len(table.flush()) == 100


def test_counts_beyond_the_record_fields_stay_at_their_maximum() -> None:
    table = FlowTable()
    table.add(*columns([P(0, 2, 1, 80, 1000, flags=SYN | ACK, mark=(60_000, 0, 0))] * 2))
    (record,) = table.flush()
    assert record["failed_logins"] == 65_535
    assert record.dtype == CONNECTION


def test_contradicting_timeouts_are_refused() -> None:
    with pytest.raises(ValueError, match="attempt_us"):
        Timeouts(attempt_us=10**9)
    with pytest.raises(ValueError, match="grace_us"):
        Timeouts(grace_us=10**7)
    with pytest.raises(ValueError, match="marked_us"):
        Timeouts(marked_us=0)
    with pytest.raises(ValueError, match="max_flows"):
        FlowTable(max_flows=0)
