"""`ontoidps check`: what is good, what warns, and what the one judge says of an address."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agents.main import main
from agents.settings.honeynet import Settings

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("203.0.113.9", "may be blocked"),
        ("192.0.2.7", "never blocked: 192.0.2.7 is on the allow-list"),
        ("64:ff9b::c000:207", "is the NAT64 form of 192.0.2.7"),
        ("169.254.1.1", "never blocked: 169.254.1.1 is"),
        ("fe80::1", "never blocked: fe80::1 is"),
        ("240.0.0.1", "never blocked: 240.0.0.1 is"),
        ("0.1.2.3", "never blocked: 0.1.2.3 is"),
        ("255.255.255.255", "never blocked: 255.255.255.255 is"),
    ],
)
def test_the_judge_is_asked_about_an_address(
    bare_honeynet: Settings, honeynet_file: Path, capsys: Capture, address: str, said: str
) -> None:
    with honeynet_file.open("a") as file:
        file.write('[policy]\nallow = ["::ffff:192.0.2.0/120"]\n')
    assert main(["check", str(honeynet_file), "--address", address]) == 0
    assert said in capsys.readouterr().out


def test_a_name_that_cannot_be_looked_up_is_a_warning(
    bare_honeynet: Settings,
    honeynet_file: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nobody_answers(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", nobody_answers)
    with honeynet_file.open("a") as file:
        file.write('[policy]\nallow_hosts = ["no-such-host.invalid"]\n')
    words = ["check", str(honeynet_file), "--node", "gw1", "--address", "203.0.113.9"]
    assert main(words) == 0
    said = capsys.readouterr()
    assert "203.0.113.9: may be blocked" in said.out
    assert (
        "policy.allow_hosts: no-such-host.invalid can't be looked up here: Temporary failure"
        in said.err
    )


def test_a_mode_of_nothing_known_is_a_warning(
    bare_honeynet: Settings, honeynet_file: Path, capsys: Capture
) -> None:
    with honeynet_file.open("a") as file:
        file.write(
            '[policy]\nmodes = {ScanThenBruteForc = "shadow", Incident = "approve",'
            ' FloodOnHost = "approve"}\n'
        )
    assert main(["check", str(honeynet_file)]) == 0
    strange = [line for line in capsys.readouterr().err.splitlines() if "modes" in line]
    (line,) = [line for line in strange if "is called" in line]
    assert "'ScanThenBruteForc' here (did you mean 'ScanThenBruteForce'?)" in line


def test_what_is_no_address_is_refused(honeynet_file: Path, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["check", str(honeynet_file), "--address", "here"])
    assert ended.value.code == 2
    assert "'here' is not an IP address" in capsys.readouterr().err


@pytest.mark.root
def test_on_a_gateway_its_kernel_is_asked_as_well(
    bare_honeynet: Settings, honeynet_file: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to make a network namespace")
    node = bare_honeynet.node[0].name
    addresses = ("198.51.100.143", "198.51.100.129", "203.0.113.9")
    words = " ".join(f"--address {address}" for address in addresses)
    done = subprocess.run(
        ["unshare", "--net", "sh", "-ec",
         "ip link add a0 type veth peer name b0; ip addr add 198.51.100.129/28 brd + dev a0; "
         "ip link set a0 up; "
         f'exec "{sys.executable}" -m agents.main check "{honeynet_file}" --node {node} {words}'],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = done.stdout
    assert f"198.51.100.143 is the broadcast address of a network of gateway {node}" in told
    assert f"198.51.100.129 is an address of gateway {node}" in told
    assert "203.0.113.9: may be blocked" in told


EXAMPLE = Path(__file__).parents[3] / "deploy" / "honeynet.example.toml"


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ([], 0, []),
        ([('"192.0.2.20"]', '"monitor.example.org"]')], 1, ["they don't work here"]),
        ([('[[node]]\nname = "gw2"', '[node]\nname = "gw2"')], 1, ["[[node]]"]),
        ([("# A honeynet", "\ufeff# A honeynet")], 1, [":1: begins with a byte-order mark"]),
        ([('["203.0.113.1"]', '["203.0.113.1/24"]')], 1, ["a plain address is wanted"]),
        ([('host = "203.0.113.1"', 'host = "203.0.113.200"')], 1, [": xmpp.host: 203.0.113.2"]),
        ([('host = "203.0.113.1"', 'host = "127.0.0.1"')], 0, ["warning: ", "each host itself"]),
        ([('"203.0.113.12"]', '"203.0.113.11"]')], 1, ["have the address 203.0.113.11"]),
        ([('"198.51.100.18"\n', '"0.0.0.0"\n')], 1, ["the unspecified address"]),
        ([('name = "gw2"', 'name = "gw2')], 1, ["a quote is missing: 'name = \"gw2'"]),
        ([(', "reaction"]', "]")], 0, ["warning: ", "nobody will be blocked"]),
        (
            [('"1h"', '"1x"'), ('"192.0.2.20"]', '"192.0.2.300"]')],
            1,
            [": policy.block_duration: '1x'", ": policy.allow: '192.0.2.300'"],
        ),
    ],
)
def test_what_an_operator_is_told(
    tmp_path: Path,
    capsys: Capture,
    changes: list[tuple[str, str]],
    code: int,
    said: list[str],
) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "honeynet.toml"
    path.write_text(text, encoding="utf-8")
    assert main(["check", str(path)]) == code
    told = capsys.readouterr()
    assert all(words in told.err for words in said)
    assert ("good" in told.out) is (code == 0)
    named = [text.splitlines()[int(n) - 1] for n in re.findall(rf"{path}:(\d+):", told.err)]
    assert code == 0 or all(any(new.split("\n")[0] in line for line in named) for _, new in changes)
    assert len(told.err.splitlines()) == (2 if len(changes) == 2 else len(said) > 0)


@pytest.mark.parametrize(
    ("table", "words", "code", "said"),
    [
        ('key = "a"\nport = 70000\n', [], 1, "doors.toml: fields must say where time"),
        ('key = "a"\n[fields]\ntime = 5\n', [], 1, "doors.toml:3: fields.time is the name"),
        (None, [], 0, "doors.toml: not on this host; the table was not checked"),
        (None, ["--node", "gw1"], 1, "doors.toml: not on this host"),
    ],
)
def test_tables_of_formats_are_read(
    tmp_path: Path, capsys: Capture, table: str | None, words: list[str], code: int, said: str
) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    old = '# inputs = [{ kind = "eve",'
    assert old in text
    new = 'inputs = [{ kind = "table", table = "doors.toml",'
    path = tmp_path / "honeynet.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    if table is not None:
        (tmp_path / "doors.toml").write_text(table, encoding="utf-8")
    assert main(["check", str(path), *words]) == code
    assert f"node gw1: {tmp_path}/{said}" in capsys.readouterr().err
