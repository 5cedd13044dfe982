from ipaddress import ip_network
from pathlib import Path

import pytest

from agents.settings.honeynet import SettingsError, load_settings

GOOD = """
name = "lab"
[policy]
block_duration = "15m"
allow = ["192.0.2.0/24", "2001:db8::5"]
[[node]]
name = "control"
agents = ["supervisor", "ontology", "correlation"]
addresses = ["203.0.113.1"]
[[node]]
name = "gw1"
agents = ["sensor", "analyzer", "reaction"]
interfaces = ["eth0"]
[[honeypot]]
address = "198.51.100.5"
node = "gw1"
open_ports = [22, 21]
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "honeynet.toml"
    path.write_text(text)
    return path


def test_a_good_file(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, GOOD))
    assert settings.policy.block_duration == 900
    assert settings.state_dir == tmp_path / "state"
    assert settings.jid("sensor", "gw1") == "sensor.gw1@honeynet.localdomain"
    assert settings.jids("reaction") == ("reaction.gw1@honeynet.localdomain",)
    assert settings.server_node == "control"
    assert settings.allow_networks() == (
        ip_network("192.0.2.0/24"),
        ip_network("2001:db8::5/128"),
        ip_network("203.0.113.1/32"),
    )
    (pot, control) = settings.host_profiles()
    assert pot.roles == ("Honeypot",) and pot.open_ports == (21, 22)
    assert control.roles == ("ProtectedHost",)


TWO_CONSOLES = "".join(
    f'[[node]]\nname = "{name}"\nagents = ["console"]\n' for name in ("page1", "page2")
)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("15m", "15 minutes", "policy.block_duration: '15 minutes' is not a duration"),
        (
            '"2001:db8::5"',
            '"2001:db8::zz"',
            "policy.allow: '2001:db8::zz' is not an address or a network",
        ),
        ('name = "gw1"', 'name = "control"', "two nodes are named 'control'"),
        ('"ontology", ', "", "no node runs an ontology agent, at least one must"),
        ('interfaces = ["eth0"]', "", "node 'gw1' has a sensor but no interfaces"),
        ('node = "gw1"', 'node = "gw9"', "honeypot 198.51.100.5 names unknown node 'gw9'"),
        ("198.51.100.5", "192.0.2.7", "honeypot 192.0.2.7 is on the allow-list"),
        ("[policy]", "[polcy]", "polcy: there is no such key"),
        (
            "[policy]",
            '[policy]\nmodes = {ScanThenExploit = "aprove"}',
            "policy.modes.ScanThenExploit: must be one of 'enforce', 'approve' or 'shadow'",
        ),
        ('name = "gw1"', 'name = "gw1"\nmode = "shadows"', "did you mean 'shadow'"),
        (
            'name = "control"',
            'name = "control"\nmode = "shadow"',
            "node 'control' has a mode but no reaction agent",
        ),
        ('name = "lab"', 'name = "../lab"', "'../lab' is not a name"),
        (
            "open_ports = [22, 21]",
            "open_ports = [22",
            "a closing bracket is missing: 'open_ports = [22'",
        ),
        (
            "open_ports = [22, 21]",
            "open_ports = [22, 70000]",
            "open_ports: must be at most 65535 (got 70000)",
        ),
        ("192.0.2.0/24", "192.0.2.1/24", "policy.allow: 192.0.2.1/24 has host bits set"),
        ("2001:db8::5", "fe80::1%eth0", "policy.allow: 'fe80::1%eth0' has a scope id"),
        (
            "[policy]",
            '[policy]\nallow_hosts = ["192.0.2.9"]',
            "policy.allow_hosts: '192.0.2.9' is not a host name; addresses and networks belong",
        ),
        ("[policy]", '[policy]\nallow_hosts = ["a b"]', "policy.allow_hosts: 'a b' is not a host"),
        ("15m", "8d", "block_duration (691200 s) is longer than maximum_duration"),
        ('"sensor", "analyzer", "reaction"', "", "node 'gw1' runs no agents"),
        ('["eth0"]', '"eth0"', "node 'gw1': interfaces: must be a list (got 'eth0')"),
        ("eth0", "eth/0", "node 'gw1': interfaces: not the name of a network interface"),
        ("[policy]", '[console]\nlisten = "0.0.0.0:8080"\n[policy]', "not a loopback address"),
        ("[policy]", '[console]\nlisten = "8080"\n[policy]', "console.listen: neither HOST:PORT"),
        ("[policy]", '[console]\nlisten = "unix:x"\n[policy]', "console.listen: unix:PATH needs"),
        ("[policy]", '[xmpp]\nhost = "x\' }"\n[policy]', "xmpp.host: not an IP address or host"),
        ("[policy]", '[xmpp]\nhost = "0.0.0.0"\n[policy]', "xmpp.host: no agent can connect"),
        ("[policy]", '[xmpp]\nhost = "192.0.2.9"\n[policy]', "node 'gw1' has no addresses"),
        ('name = "lab"', 'domain = "a..b"', "domain: not a domain"),
        ("[[honeypot]]", f"{TWO_CONSOLES}[[honeypot]]", "at most one node may run the console"),
        (
            "[[honeypot]]",
            '[[honeypot]]\naddress = "198.51.100.5"\nnode = "gw1"\n[[honeypot]]',
            "two honeypots have the address 198.51.100.5",
        ),
    ],
)
def test_a_bad_file_is_one_line_with_the_place(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(SettingsError) as error:
        load_settings(path)
    assert any(said in line for line in error.value.lines)
    assert str(error.value).startswith(f"{path}:") and "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gone\.toml: No such file"):
        load_settings(tmp_path / "gone.toml")


def test_the_message_server_is_never_blocked(tmp_path: Path) -> None:
    addressed = GOOD.replace("[[honeypot]]", 'addresses = ["203.0.113.2"]\n[[honeypot]]', 1)
    own = 'host = "203.0.113.250"\nembedded = false\nca = "ca.crt"'
    text = addressed.replace("[policy]", f"[xmpp]\n{own}\n[policy]", 1)
    settings = load_settings(write(tmp_path, text))
    assert ip_network("203.0.113.250/32") in settings.allow_networks()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("198.51.100.5", "0.0.0.0", "a honeypot can't have the address 0.0.0.0: it is the unspec"),  # noqa: S104
        ("198.51.100.5", "224.0.0.5", "it is a multicast address, no host's"),
        ("198.51.100.5", "::ffff:192.0.2.7", "honeypot 192.0.2.7 is on the allow-list"),
        ('"203.0.113.1"', '"0.1.2.3"', "can't have the address 0.1.2.3: it is a reserved address"),
    ],
)
def test_an_address_of_no_host_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(SettingsError) as error:
        load_settings(write(tmp_path, GOOD.replace(old, new)))
    assert said in str(error.value)


def test_two_nodes_never_have_one_address(tmp_path: Path) -> None:
    """However it is written."""
    mapped = 'addresses = ["::ffff:203.0.113.1"]\n[[honeypot]]'
    with pytest.raises(SettingsError, match=r"and node 'gw1' have the address"):
        load_settings(write(tmp_path, GOOD.replace("[[honeypot]]", mapped, 1)))


INPUT = 'interfaces = ["eth0"]\ninputs = [{ kind = "eve", path = "logs/eve.json" }]'


def test_inputs_are_read_and_their_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace('interfaces = ["eth0"]', INPUT))
    (entry,) = load_settings(path).node_named("gw1").inputs
    assert (entry.kind, entry.path) == ("eve", tmp_path / "logs" / "eve.json")
    own = INPUT.replace('"eve"', '"table", table = "doors.toml"')
    table = write(tmp_path, GOOD.replace('interfaces = ["eth0"]', own))
    assert load_settings(table).node_named("gw1").inputs[0].table == tmp_path / "doors.toml"
    # A sensor may have logs only.
    only = write(tmp_path, GOOD.replace('interfaces = ["eth0"]', INPUT.partition("\n")[2]))
    assert load_settings(only).node_named("gw1").interfaces == ()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"eve"', '"evil"', "no input is called 'evil' (known: access, "),
        ('"eve"', '"table"', "table names the file that describes the format"),
        ('"logs/eve.json"', '"x", table = "y"', "of kind table only"),
        ('"logs/eve.json"', '"x", timezone = "Mars"', "no time zone is called 'Mars'"),
        ('"logs/eve.json"', '"x", timezone = "../x"', "no time zone is called '../x'"),
        ("}]", '}, { kind = "zeek", path = "logs/eve.json" }]', "lists an input's path twice"),
        (
            'addresses = ["203.0.113.1"]',
            'inputs = [{ kind = "eve", path = "x" }]',
            "has inputs but no sensor",
        ),
    ],
)
def test_a_bad_input_is_refused_by_name(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = GOOD.replace('interfaces = ["eth0"]', INPUT)
    assert old in text
    with pytest.raises(SettingsError) as error:
        load_settings(write(tmp_path, text.replace(old, new, 1)))
    assert said in str(error.value)


def test_clusters_follow_traffic_only_if_asked(tmp_path: Path) -> None:
    assert not load_settings(write(tmp_path, GOOD)).analyzer.follow_drift
    asked = GOOD + "[analyzer]\nfollow_drift = true\n"
    assert load_settings(write(tmp_path, asked)).analyzer.follow_drift
    with pytest.raises(SettingsError, match=r"analyzer\.follow_drift"):
        load_settings(write(tmp_path, asked.replace("true", '"perhaps"')))


def test_a_sensor_may_have_log_groups_and_growing_files_only(tmp_path: Path) -> None:
    text = GOOD.replace('interfaces = ["eth0"]', 'nflog = [5, 6]\ncaptures = ["taps/x.pcap"]')
    node = load_settings(write(tmp_path, text)).node_named("gw1")
    assert (node.nflog, node.captures) == ((5, 6), (tmp_path / "taps" / "x.pcap",))
    assert (node.capture_workers, node.capture_ring_mib) == (1, 16)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nflog = [65536]", "node 'gw1': nflog: "),
        ("nflog = [5, 5]", "node 'gw1' lists one of its nflog twice"),
        ("capture_workers = 0", "node 'gw1': capture_workers: "),
        ("capture_workers = 17", "node 'gw1': capture_workers: "),
        ("capture_ring_mib = 1025", "node 'gw1': capture_ring_mib: "),
        ('captures = "x.pcap"', "node 'gw1': captures: must be a list"),
    ],
)
def test_a_bad_source_is_refused_by_name(tmp_path: Path, line: str, said: str) -> None:
    text = GOOD.replace('interfaces = ["eth0"]', f'interfaces = ["eth0"]\n{line}')
    with pytest.raises(SettingsError) as error:
        load_settings(write(tmp_path, text))
    assert said in str(error.value)


def test_only_a_sensor_reads_log_groups(tmp_path: Path) -> None:
    text = GOOD.replace('addresses = ["203.0.113.1"]', "nflog = [5]")
    with pytest.raises(SettingsError, match="has nflog or captures but no sensor"):
        load_settings(write(tmp_path, text))


CELLS = """
[xmpp]
host = "127.0.0.1"
[[node]]
name = "gw0"
agents = ["sensor", "analyzer", "reaction"]
interfaces = ["eth0"]
[[node]]
name = "gw1"
agents = ["sensor", "analyzer", "correlation", "ontology", "reaction"]
interfaces = ["eth0"]
[[node]]
name = "gw2"
agents = ["sensor", "analyzer", "correlation", "ontology", "reaction"]
interfaces = ["eth0"]
"""


def test_nodes_without_a_correlation_agent_are_served_by_the_first(tmp_path: Path) -> None:
    """Several correlation and ontology agents, and no supervisor."""
    settings = load_settings(write(tmp_path, CELLS))
    assert [settings.correlation_of(node) for node in ("gw0", "gw1", "gw2")] == [
        settings.jid("correlation", node) for node in ("gw1", "gw1", "gw2")
    ]
    assert settings.analyzers_of("gw1") == (
        settings.jid("analyzer", "gw0"),
        settings.jid("analyzer", "gw1"),
    )
    assert settings.analyzers_of("gw2") == (settings.jid("analyzer", "gw2"),)
    assert settings.jids("supervisor") == ()


def test_two_supervisors_are_refused(tmp_path: Path) -> None:
    text = CELLS.replace('"ontology", ', '"ontology", "supervisor", ')
    with pytest.raises(SettingsError, match="several nodes run a supervisor agent, one may"):
        load_settings(write(tmp_path, text))
