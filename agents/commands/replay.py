"""``ontoidps replay CAPTURE…``: captures and logs to alerts, incidents, decisions, offline."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from pathlib import Path

from agents.analyzer.core import load_model
from agents.commands.output import one_line as one_line
from agents.commands.output import plural
from agents.commands.output import printable as printable
from agents.commands.output import shown as shown
from agents.commands.replay_shown import show_record, summary
from agents.correlation.reasoner_thread import ReasonerThread
from agents.knowledge.load import find_joins, load_theory, paper_rules
from agents.offline.evidence_folder import MAX_FILES, EvidenceFolder
from agents.offline.replay import Replay
from agents.offline.window_record import WindowRecord
from agents.sensor.inputs.events import Options, Parser
from agents.sensor.inputs.registry import known_inputs, make_parser
from agents.sensor.signatures.alerts import SignatureAlerts
from agents.sensor.signatures.rule_files import check_variable
from agents.sensor.tunnel_trust import TunnelTrust
from agents.settings.honeynet import Policy, load_settings
from agents.settings.sense import OF_HOSTS
from agents.settings.source_sections import KnownSources
from ontology.reasoner.client import PelletWorker
from ontology.records import Address, Alert, Decision, HostProfile, Incident
from rules.signatures.parse import SignatureSet, load_signatures

_REASONS = 8
_NAMED = 20
"""Rules left out that are named one by one."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "capture", nargs="*", type=Path, help="pcap or pcapng file, also .gz and .xz"
    )
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        type=_kind_and_file,
        metavar="KIND:FILE",
        help="log of another tool, also .gz and .xz: cowrie, eve … (docs/inputs.md); repeatable",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line (docs/json.md)")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="honeynet.toml: honeypots, allow-list, policy"
    )
    parser.add_argument(
        "--honeypot",
        action="append",
        default=[],
        type=ip_address,
        metavar="ADDRESS",
        help="this address is a honeypot (may be repeated)",
    )
    parser.add_argument(
        "--address",
        action="append",
        default=[],
        type=ip_address,
        metavar="ADDRESS",
        help="of logs: the host that wrote it (audit, wtmp, syslog), or the honeypot's real "
        "address where its log knows a private one; twice if it has one of each family",
    )
    parser.add_argument(
        "--evidence",
        type=Path,
        metavar="FOLDER",
        help="write the packets that alerts of captures rest on, a pcap each, into this new or "
        "empty folder",
    )
    parser.add_argument(
        "--side",
        choices=("outside", "inside"),
        default="inside",
        help="where captures were taken: outside, towards strangers, what did not leave (known of "
        "Linux cooked captures only) proves nothing in a honeypot's name (default: inside)",
    )
    parser.add_argument(
        "--tunnel",
        action="append",
        default=[],
        type=ip_address,
        metavar="ADDRESS",
        help="a mirror or tunnel of our own begins here: what it carries can be verified (default: "
        "a capture that holds nothing else is taken for a mirror's; may be repeated)",
    )
    parser.add_argument(
        "--owl",
        type=Path,
        metavar="FILE",
        help="write what the rules saw, with ontology and rules, as one OWL file for Protégé",
    )
    parser.add_argument(
        "--join",
        action="store_true",
        help="the captures are one traffic, in this order (default: each stands for itself)",
    )
    parser.add_argument(
        "--rules",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="Snort or Suricata rules, or a folder of them, matched as well (may be repeated)",
    )
    parser.add_argument(
        "--rule-variable",
        action="append",
        default=[],
        metavar="NAME=SET",
        help="what $NAME stands for in rules, e.g. HOME_NET=[192.0.2.0/24,2001:db8::/32]",
    )
    parser.add_argument(
        "--midstream",
        action="store_true",
        help="for rules a connection whose handshake is not in the capture is established too "
        "(default: rules with flow:established leave it alone, as Suricata does)",
    )


def _kind_and_file(text: str) -> tuple[str, Path]:
    kind, colon, name = text.partition(":")
    if not colon or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not KIND:FILE, like cowrie:cowrie.json")
    if kind not in known_inputs() and not kind.endswith(".toml"):
        raise argparse.ArgumentTypeError(
            f"no input is called {kind!r} (known: {', '.join(known_inputs())})"
        )
    return kind, Path(name)


def run(arguments: argparse.Namespace) -> int:
    """0 if every capture could be read to its end."""
    hosts: tuple[HostProfile, ...] = ()
    policy = Policy()
    known: tuple[KnownSources, ...] = ()
    if arguments.config is not None:
        settings = load_settings(arguments.config)
        hosts, policy, known = settings.host_profiles(), settings.policy, settings.source
    hosts += tuple(
        HostProfile(id=f"urn:ontoidps:profile:{a}", address=a, roles=("Honeypot",), asset_value=2)
        for a in arguments.honeypot
    )
    pots = frozenset(host.address for host in hosts if "Honeypot" in host.roles)
    if len({address.version for address in arguments.address}) < len(arguments.address):
        raise ValueError("--address: one of each family, not two of one")
    sources: list[tuple[Path, Parser | None]] = [(path, None) for path in arguments.capture]
    for kind, path in arguments.input:
        table = Path(kind) if kind.endswith(".toml") else None
        own = _only(pots) if kind in OF_HOSTS else ()
        address = tuple(arguments.address) or None
        options = Options(honeypots=pots, own=own, table=table, address=address)
        sources.append((path, make_parser("table" if table else kind, options)))
    # What a host recorded explains what captures show: it has to be known by then.
    sources.sort(key=lambda source: source[1] is None or source[1].kind not in OF_HOSTS)
    if not sources:
        raise ValueError("name a capture, or a log with --input KIND:FILE")
    for path, _ in sources:
        if not path.exists():
            raise ValueError(f"{shown(path)}: no such file")
        if not path.is_file():
            raise ValueError(f"{shown(path)}: not a regular file")
    if arguments.owl is not None and len(sources) > 1 and not arguments.join:
        raise ValueError("--owl wants one capture, or --join")
    signatures = load_signatures(arguments.rules) if arguments.rules else None
    variables = dict(map(_variable, arguments.rule_variable))
    evidence = None if arguments.evidence is None else EvidenceFolder(arguments.evidence)
    model = load_model()
    matching: SignatureAlerts | None = None
    code = 0
    # It starts with the first alert, if there is one.
    worker = PelletWorker(load_theory(more=paper_rules(policy)))
    ahead = ReasonerThread(worker)
    record = WindowRecord(ahead.submit)
    try:
        replay = None
        for number, (path, parser) in enumerate(sources, 1):
            if replay is None or not arguments.join:
                if evidence is not None and number > 1:
                    evidence.begin()
                trust = TunnelTrust(
                    arguments.tunnel, guess=not arguments.tunnel, own=[h.address for h in hosts]
                )
                if signatures is not None:
                    matching = SignatureAlerts(
                        signatures.signatures,
                        sensor="replay",
                        variables=variables,
                        midstream=arguments.midstream,
                        tunnels=trust,
                        evidence=None if evidence is None else evidence.matched,
                    )
                    if number == 1:
                        _say(signatures, matching)
                replay = Replay(
                    model,
                    worker,
                    submit=ahead.submit if arguments.owl is None else record.submit,
                    hosts=hosts,
                    policy=policy,
                    signatures=matching,
                    joins=find_joins(worker.theory),
                    reads=worker.theory.reads,
                    outside=arguments.side == "outside",
                    tunnels=trust,
                    evidence=evidence,
                    sources=known,
                )
            last = not arguments.join or number == len(sources)
            show = partial(show_record, path=path, as_json=arguments.json, evidence=evidence)
            code |= _one(replay, path, parser, show, last=last, as_json=arguments.json)
            if matching is not None and last:
                _say_midstream(matching, path)
        if arguments.owl is not None:
            count = record.write(arguments.owl, policy, f"replay of {shown(sources[0][0])[:200]}")
            said = f"{plural(count, 'alert')} to {shown(arguments.owl)}"
            print(f"ontoidps replay: {said}", file=sys.stderr)
    finally:
        worker.close()
        ahead.close()
        if evidence is not None:
            evidence.close()
            if evidence.left_out:
                print(
                    f"ontoidps replay: {shown(arguments.evidence)}: {MAX_FILES} files are enough: "
                    f"the packets of {plural(evidence.left_out, 'alert')} were left out",
                    file=sys.stderr,
                )
    return code


def _only(pots: frozenset[Address]) -> tuple[Address, ...]:
    """Whose log it is: the honeypot, if there is one of each family at most."""
    single = len({pot.version for pot in pots}) == len(pots)
    return tuple(pots) if single else ()


def _variable(text: str) -> tuple[str, str]:
    """A mistake in a set is said now, not once for every rule that uses it."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--rule-variable {text!r}: not NAME=SET")
    try:
        check_variable(name, value)
    except ValueError as e:
        raise ValueError(f"--rule-variable {text!r}: {e}") from e
    return name, value


def _say(loaded: SignatureSet, matching: SignatureAlerts) -> None:
    """How much of the rules is in use, on stderr: stdout is for records."""
    reasons = matching.matcher.refused
    left_out = ", ".join(f"{n} {printable(why)}" for why, n in reasons.most_common(_REASONS))
    if len(reasons) > _REASONS:
        left_out += f" and {len(reasons) - _REASONS} more reasons"
    print(
        f"ontoidps replay: {len(matching.matcher.signatures)} of {len(loaded.signatures)} "
        f"signatures in use" + (f" (left out: {left_out})" if left_out else ""),
        file=sys.stderr,
    )
    for fault in loaded.faults:
        print(
            f"ontoidps replay: {one_line(fault.path)} line {fault.line}: {one_line(fault.reason)}",
            file=sys.stderr,
        )
    silencing = [s for s in matching.matcher.signatures if s.silences]
    if silencing:
        print(
            f"ontoidps replay: {plural(len(silencing), 'pass rule')} silence other rules, not what "
            "the sensor detects by itself: that takes the allow-list of honeynet.toml",
            file=sys.stderr,
        )
    # Without a rule that silences, others say more than they should: named first, and all.
    left = sorted(matching.matcher.left_out, key=lambda item: not item[0].silences)
    passing = sum(signature.silences for signature, _ in left)
    for signature, why in left[: max(passing, _NAMED)]:
        kind = "pass rule" if signature.silences else "rule"
        print(
            f"ontoidps replay: {kind} {signature.gid}:{signature.sid} left out: {one_line(why)}",
            file=sys.stderr,
        )
    if len(left) > max(passing, _NAMED):
        print(
            f"ontoidps replay: {len(left) - max(passing, _NAMED)} more rules left out: "
            "ontoidps ontology import-signatures --all names them",
            file=sys.stderr,
        )


def _say_midstream(matching: SignatureAlerts, path: Path) -> None:
    count = matching.matcher.counters["midstream"]
    if count:
        print(
            f"ontoidps replay: {shown(path)}: {plural(count, 'packet')} of connections whose "
            "beginning is not in the capture: rules with flow:established were not tried on them "
            "(--midstream tries them)",
            file=sys.stderr,
        )


def _one(
    replay: Replay,
    path: Path,
    parser: Parser | None,
    show: Callable[[Alert | Incident | Decision], None],
    *,
    last: bool,
    as_json: bool,
) -> int:
    code = 0
    if not as_json:
        print(shown(path))
    lines, refused = replay.totals.lines, replay.totals.refused
    try:
        for record in replay.capture(path) if parser is None else replay.log(path, parser):
            show(record)
    except ValueError as e:
        # What could be read counts; the rest is said once, and the next capture gets its turn.
        print(f"ontoidps replay: {printable(e)}", file=sys.stderr)
        code = 1
    lines, refused = replay.totals.lines - lines, replay.totals.refused - refused
    if refused:
        # Also with --json, whose output has no place for it.
        print(
            f"ontoidps replay: {shown(path)}: {refused} of {plural(lines, 'line')} refused: "
            f"{printable(replay.totals.why_refused)}",
            file=sys.stderr,
        )
    if parser is not None and replay.totals.nothing_read:
        # All of them: it is another format. That is no quiet log.
        if not refused or refused < lines:
            print(
                f"ontoidps replay: {shown(path)}: {printable(replay.totals.nothing_read)}",
                file=sys.stderr,
            )
        code = 1
    if last:
        for record in replay.finish():
            show(record)
        if not as_json:
            print(summary(replay.totals) + "\n")
        if parser is None:
            code |= _unread(replay, path)
        if replay.totals.one_sided:
            print(
                f"ontoidps replay: {shown(path)}: one-sided, connections have packets of one end "
                "only; nothing in it is verified",
                file=sys.stderr,
            )
    return code


def _unread(replay: Replay, path: Path) -> int:
    """Say what of captures could not be read, also with --json; 1 if that was all of it."""
    totals = replay.totals
    # A packet is in one of these; malformed ones and others are told only where nothing is left.
    nothing = totals.packets > 0 and not totals.decoded
    parts = [(name, count) for name, count in totals.unread.most_common()]
    parts += [(f"{name} in a tunnel", count) for name, count in totals.unopened.most_common()]
    if nothing:
        parts += [(f"malformed ({kind})", n) for kind, n in totals.malformed_kinds.most_common()]
        parts += [("protocols without addresses", totals.other)] if totals.other else []
    begin = f"ontoidps replay: {shown(path)}: "
    if parts:
        told = ", ".join(f"{count} in {printable(name)}" for name, count in parts)
        what = "not one" if nothing else "not all"
        print(
            f"{begin}{what} of {plural(totals.packets, 'packet')} could be read: {told}",
            file=sys.stderr,
        )
    if totals.unverified_tunnels:
        count = plural(totals.unverified_tunnels, "packet")
        print(
            f"{begin}{count} came in tunnels that anybody can have sent; nothing in them is "
            "verified (--tunnel ADDRESS names one of our own)",
            file=sys.stderr,
        )
    return int(nothing)
