"""Everything that is wrong with a file is told at once, each with its thing and its line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agents.settings.honeynet import load_settings
from agents.settings.problems import MAX_BYTES, SettingsError

EXAMPLE = Path(__file__).parents[3] / "deploy" / "honeynet.example.toml"


def faults(tmp_path: Path, *changes: tuple[str, str]) -> list[str]:
    """What is wrong with the example after some changes, without the file's name."""
    text = EXAMPLE.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "honeynet.toml"
    path.write_bytes(text.encode())
    try:
        load_settings(path)
    except SettingsError as e:
        prefix = f"{path}:"
        assert all(line.startswith(prefix) and "\n" not in line for line in e.lines)
        return [line.removeprefix(prefix) for line in e.lines]
    return []


def line_of(text: str, after: str = "") -> int:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    begin = next((n for n, line in enumerate(lines) if after and line.startswith(after)), 0)
    return next(n for n, line in enumerate(lines, 1) if n > begin and line.startswith(text))


def test_the_example_is_good(tmp_path: Path) -> None:
    assert faults(tmp_path) == []


ALLOW = '"192.0.2.20"]'
GW2 = '"203.0.113.12"]'


@pytest.mark.parametrize(
    ("old", "new", "begin", "said"),
    [
        (ALLOW, '"monitor.example.org"]', "allow", "policy.allow: 'monitor.example.org' is a host "
         "name, and they don't work here: name its address"),
        (ALLOW, '"192.0.2.300"]', "allow", "'192.0.2.300' is not an address or a network"),
        (ALLOW, '"192.0.2.1/24"]', "allow", "is 192.0.2.0/24 meant, or the address alone?"),
        ('["203.0.113.1"]', '["203.0.113.1/24"]', "addresses", "node 'control': addresses: "
         "'203.0.113.1/24' is a network; a plain address is wanted, like '203.0.113.1'"),
        ('["203.0.113.1"]', '["control.example.org"]', "addresses", "is a host name"),
        ('host = "203.0.113.1"', 'host = "203.0.113.200"', "host", "xmpp.host: 203.0.113.200 is "
         "not an address of node 'control', which runs the XMPP server: no node has it"),
        ('host = "203.0.113.1"', 'host = "203.0.113.11"', "host", "it is one of node 'gw1'"),
        ('node = "control"  ', 'node = "gw1"  ', "host", "not an address of node 'gw1'"),
        ('"198.51.100.18"\nnode', '"0.0.0.0"\nnode', "address =", "the unspecified address"),
        ('"198.51.100.18"\nnode', '"198.51.100.34"\nnode', "address =", "two honeypots have"),
        ('block_duration = "1h"', 'block_duraton = "1h"', "block_duration",
         "there is no such key (did you mean 'block_duration'?)"),
        ('"sensor", "analyzer"', '"sensr", "analyzer"', "agents", "(did you mean 'sensor'?)"),
        ('node = "gw2"', 'node = "gw3"', "node", "names unknown node 'gw3' (did you mean 'gw2'?)"),
        ('interfaces = ["eth0"]', 'interfaces = "eth0"', "interfaces", "must be a list"),
        ('block_duration = "1h"', "block_duration = true", "block_duration", "(got True)"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_what_to_do(
    tmp_path: Path, old: str, new: str, begin: str, said: str
) -> None:
    found = faults(tmp_path, (old, new))
    (told,) = [line for line in found if said in line]
    number, _, _ = told.partition(":")
    text = (tmp_path / "honeynet.toml").read_text().splitlines()[int(number) - 1]
    assert text.startswith(begin[:8])


def test_one_address_of_two_nodes_is_told_at_the_second(tmp_path: Path) -> None:
    (told,) = faults(tmp_path, (GW2, '"203.0.113.11"]'))
    line = line_of("addresses", 'name = "gw2"')
    assert told == (
        f"{line}: node 'gw2': addresses: node 'gw1' and node 'gw2' have the address 203.0.113.11"
    )


def test_values_and_what_they_contradict_are_told_together_in_the_files_order(
    tmp_path: Path,
) -> None:
    found = faults(
        tmp_path,
        ('node = "gw2"', 'node = "gw9"'),
        ('block_duration = "1h"', 'block_duration = "1x"'),
        (ALLOW, '"192.0.2.300"]'),
        (GW2, '"203.0.113.11"]'),
        ('host = "203.0.113.1"', 'host = "203.0.113.200"'),
    )
    words = ["xmpp.host", "block_duration", "policy.allow", "have the address", "unknown node"]
    assert [next(w for w in words if w in told) for told in found] == words
    numbers = [int(told.split(":")[0]) for told in found]
    assert numbers == sorted(numbers)


def test_what_only_follows_from_a_fault_is_no_second_one(tmp_path: Path) -> None:
    assert len(faults(tmp_path, ('["eth0"]', '["eth/0"]'))) == 1
    assert len(faults(tmp_path, ('name = "gw1"', 'name = "GW 1"'))) == 1
    assert len(faults(tmp_path, ('["203.0.113.1"]', '["203.0.113.x"]'))) == 1


def refused(path: Path) -> str:
    with pytest.raises(SettingsError) as error:
        load_settings(path)
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(str(path))


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "honeynet.toml"
    assert refused(path) == ": No such file or directory"
    assert refused(tmp_path) == ": is a folder, not a file"
    path.write_bytes(b'# ok\nname = "caf\xe9"\n')
    assert refused(path).startswith(":2: byte 0xe9 is not UTF-8: save the file as UTF-8")
    path.write_bytes('name = "x"\n'.encode("utf-16"))
    assert "it looks like UTF-16" in refused(path)
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    assert "larger than 4 MiB" in refused(path)
    path.write_bytes(b"a = " + b"[" * 100_000)
    assert "nested too deep" in refused(path)
    path.write_bytes(b"")
    assert refused(path) == ": node: is missing"
    path.write_bytes(b"[node]\nname = 'x'\n")
    assert refused(path) == ":1: node: [node] wants two brackets: [[node]]"
    path.write_bytes(b'name = "a"\r\nname = "b"\r\n')
    assert refused(path) == ":2: key 'name' is there twice"


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "honeynet.toml"
    path.write_text("")
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)  # root may read everything
    try:
        assert refused(path) == ": Permission denied"
    finally:
        os.seteuid(user)
