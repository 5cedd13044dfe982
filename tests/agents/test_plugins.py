"""A real distribution of somebody else's, installed by pip, brings one plug-in of each kind.

It is the example of docs/plugins.md, beside a second one whose plug-ins are all broken.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents import plugins
from agents.analyzer import plugin_guard
from agents.analyzer.clustering import ClusterModel
from agents.analyzer.core import AnalyzerCore, load_model
from agents.clock import ClockReading
from agents.plugins import PluginError
from agents.reaction.enforcement import Enforcement
from agents.reaction.firewall import DryRunFirewall, FirewallError
from agents.reaction.policy import ReactionPolicy
from agents.reaction.responders import Assistant, ResponderOptions, Team, make_team
from agents.reaction.store import ClaimStore
from agents.sensor.inputs.events import Options, host, pack_row
from agents.sensor.inputs.intake import Intake
from agents.sensor.inputs.registry import make_parser
from agents.settings.honeynet import Settings, SettingsError, load_settings
from ontology.records import CONNECTION, Alert, ConnectionBatch
from tests.factories import make_batch, make_decision

ROOT = Path(__file__).parents[2]
EXAMPLE = Path(__file__).with_name("plugin_example")
T0 = 1_795_000_000_000_000
STRANGER, POT = "192.0.2.66", "198.51.100.18"

BROKEN = """
import sys
import time
class Raises:
    def __init__(self, options): pass
    def on_view(self, view, reporter): raise RuntimeError("on purpose")
    def counters(self): raise KeyError("on purpose")
class Nonsense:
    def __init__(self, options): pass
    def on_view(self, view, reporter): return [1, 2]
    def counters(self): return {}
class Exits:
    def __init__(self, options): sys.exit("on purpose")
class Unsendable(Nonsense):
    def on_view(self, view, reporter):
        from dataclasses import replace
        from agents.analyzer.findings import Claim, Finding
        finding = Finding()
        import numpy as np
        finding.add(view, np.arange(len(view.rows)), reporter.clusters)
        claim = Claim(classification="NoSuchClass", explanation="x", confidence=0.5, protocol=6)
        return [reporter.alert(finding, claim)]
class Flood(Nonsense):
    def on_view(self, view, reporter):
        while True:
            yield from Good().on_view(view, reporter)
class Good:
    def on_view(self, view, reporter):
        import numpy as np
        from agents.analyzer.findings import Claim, Finding
        finding = Finding()
        finding.add(view, np.arange(len(view.rows)), reporter.clusters)
        yield reporter.alert(
            finding, Claim(classification="Scan", explanation="x", confidence=0.5, protocol=6)
        )
class Hangs(Good):
    def __init__(self, options): self.batches = 0
    def counters(self): return {"hangs_batches": self.batches}
    def on_view(self, view, reporter):
        self.batches += 1
        yield from Good().on_view(view, reporter)
        while self.batches == 2:
            time.sleep(0.01)
class NeverMade:
    def __init__(self, options):
        while True:
            time.sleep(0.01)
class Refuses:
    def __init__(self, options): self.tries = 0
    def install(self): pass
    def block(self, address, seconds): raise OSError("on purpose")
    def unblock(self, address): raise SystemExit(1)
    def blocked(self): return {}
    def close(self): raise RuntimeError("on purpose")
class Half:
    def __init__(self, options): pass
    def install(self): pass
"""
BROKEN_ENTRIES = {
    "ontoidps.detectors": {
        "raises": "broken_plugins:Raises",
        "nonsense": "broken_plugins:Nonsense",
        "exits": "broken_plugins:Exits",
        "unsendable": "broken_plugins:Unsendable",
        "flood": "broken_plugins:Flood",
        "hangs": "broken_plugins:Hangs",
        "never-made": "broken_plugins:NeverMade",
        "no-such-module": "nobody_has_this:Thing",
    },
    "ontoidps.responders": {"refuses": "broken_plugins:Refuses", "half": "broken_plugins:Half"},
}


HANGING = ("hangs", "never-made")


def wheel(folder: Path, name: str, module: str, code: str, entries: dict[str, Any]) -> Path:
    """A wheel as a build back end makes it (PyPA, "Binary distribution format")."""
    path = folder / f"{name.replace('-', '_')}-1.0-py3-none-any.whl"
    info = f"{name.replace('-', '_')}-1.0.dist-info"
    text = "".join(
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in found.items())
        for group, found in entries.items()
    )
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{module}.py", code)
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/entry_points.txt", text)
        file.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both distributions, in a folder of their own."""
    folder = tmp_path_factory.mktemp("plugins")
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    code = (EXAMPLE / "ontoidps_example.py").read_text()
    wheels = [
        wheel(folder, project["name"], "ontoidps_example", code, project["entry-points"]),
        wheel(folder, "broken-plugins", "broken_plugins", BROKEN, BROKEN_ENTRIES),
    ]
    target = folder / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--disable-pip-version-check", "--target", str(target), *map(str, wheels)]
    subprocess.run(command, check=True, capture_output=True)
    return target


@pytest.fixture
def others(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(installed))
    importlib.invalidate_caches()
    yield
    for name in ("ontoidps_example", "broken_plugins"):
        sys.modules.pop(name, None)


def honeynet(folder: Path, lines: str) -> Path:
    path = folder / "honeynet.toml"
    path.write_text(
        '[[node]]\nname = "gw1"\ninterfaces = ["lo"]\n'
        'agents = ["sensor", "analyzer", "correlation", "ontology", "supervisor", "reaction"]\n'
        f"{lines}\n"
    )
    return path


NAMED = """\
detectors = ["telnet-use", "port-scans"]
responders = ["nftables", "deny-file"]
inputs = [{ kind = "doorlog", path = "door.log" }]
"""


def test_what_is_not_installed_is_refused_in_one_line(tmp_path: Path) -> None:
    for line, word in (
        ('detectors = ["telnet-use"]', "no detector is called 'telnet-use'"),
        ('responders = ["deny-file"]', "no responder is called 'deny-file'"),
        ('detectors = ["floods", "floods"]', "'floods' is named twice"),
        ('inputs = [{ kind = "doorlog", path = "x" }]', "no input is called 'doorlog'"),
    ):
        with pytest.raises(SettingsError) as caught:
            load_settings(honeynet(tmp_path, line))
        assert word in str(caught.value) and "\n" not in str(caught.value)


def test_defaults_are_as_ever(tmp_path: Path) -> None:
    (node,) = load_settings(honeynet(tmp_path, "")).node
    assert (node.detectors, node.responders) == (None, ("nftables",))
    from agents.analyzer.detectors import BUILT_IN

    assert set(BUILT_IN) == set(plugins.known(plugins.DETECTORS))
    assert {"nftables", "tcp-reset"} <= set(plugins.known(plugins.RESPONDERS))


def test_ours_are_what_the_entry_points_name() -> None:
    from agents.analyzer.detectors import BUILT_IN

    for name, make in BUILT_IN.items():
        assert plugins.load(plugins.DETECTORS, name) is make


@pytest.mark.usefixtures("others")
def test_what_is_installed_is_accepted(tmp_path: Path) -> None:
    (node,) = load_settings(honeynet(tmp_path, NAMED)).node
    assert node.detectors == ("telnet-use", "port-scans")
    assert node.responders == ("nftables", "deny-file")


@pytest.mark.usefixtures("others")
def test_the_input_reads_its_log() -> None:
    intake = Intake(make_parser("doorlog", Options()), sensor="s")
    lines = [b"2026-11-17T12:00:00Z 192.0.2.66 198.51.100.18 23", b"nonsense"]
    (batch,) = intake.on_lines(lines, "m", T0)
    assert isinstance(batch, ConnectionBatch)
    assert batch.connections["dst_port"].tolist() == [23]
    assert intake.counters["refused.shape"] == 1


def rows(*ports: int, flags: tuple[int, int] = (2, 4), state: int = 4, at: int = 0) -> bytes:
    return b"".join(
        pack_row(
            at_us=T0 + at + number, source=host(STRANGER), target=host(POT), protocol=6,
            state=state, ports=(40000, port), flags=flags, packets=(3, 3), size=(50, 50),
        )
        for number, port in enumerate(ports)
    )  # fmt: skip


def batch(content: bytes) -> ConnectionBatch:
    return make_batch(np.frombuffer(content, CONNECTION))


TRAFFIC = rows(*range(1, 60)) + rows(23, flags=(27, 27), state=3, at=100)


@pytest.fixture(scope="module")
def model() -> ClusterModel:
    return load_model()


@pytest.mark.usefixtures("others")
def test_the_detector_works_beside_ours(model: ClusterModel) -> None:
    core = AnalyzerCore(model, analyzer="a", detectors=["telnet-use", "port-scans"])
    alerts = core.on_batch(batch(TRAFFIC))
    telnet = [a for a in alerts if "1 Telnet connections" in a.explanation]
    assert [(a.classification, str(a.source), a.analyzer) for a in telnet] == [
        ("UnknownAnomaly", STRANGER, "a")
    ]
    assert len(alerts) == 2
    assert core.counters()["telnet_use_evicted"] == 0


@pytest.mark.usefixtures("others")
def test_broken_detectors_take_nothing_from_the_others(
    model: ClusterModel, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin_guard, "DEADLINE_S", 60.0)  # on a busy machine, too
    good = AnalyzerCore(model, analyzer="a", detectors=["port-scans"]).on_batch(batch(TRAFFIC))
    assert good
    broken = [n for n in BROKEN_ENTRIES["ontoidps.detectors"] if n not in HANGING]
    core = AnalyzerCore(model, analyzer="a", detectors=[*broken, "port-scans"])
    for _ in range(3):
        core_alerts = core.on_batch(batch(TRAFFIC))
        ours = [a for a in core_alerts if a.classification != "Scan"]
        if good:
            assert ours == good
        good = []  # the same again is not told again
    counters = core.counters()
    assert counters["detector.exits.missing"] == counters["detector.no-such-module.missing"] == 1
    assert counters["detector.nonsense.errors"] == counters["detector.unsendable.errors"] == 3
    assert counters["detector.raises.errors"] == 4  # its counters as well
    assert counters["detector.flood.cut"] == 3
    told = [r.getMessage() for r in caplog.records if "'nonsense'" in r.getMessage()]
    assert told == ["detector 'nonsense' failed, the others go on"]
    assert all(isinstance(a, Alert) for a in core_alerts)


@pytest.mark.usefixtures("others")
def test_hanging_detectors_hold_up_the_others_only_once(
    model: ClusterModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin_guard, "DEADLINE_S", 1.0)
    core = AnalyzerCore(model, analyzer="a", detectors=[*HANGING, "port-scans"])
    for number in range(3):
        kinds = {a.classification for a in core.on_batch(batch(rows(*range(1, 60 << number))))}
        # What it gave before it was stuck, in its second batch, counts.
        assert kinds == ({"Scan", "SynScan"} if number < 2 else {"SynScan"})
    counters = core.counters()
    assert counters["detector.hangs.late"] == counters["detector.hangs.skipped"] == 1
    assert counters["detector.never-made.missing"] == 1


def wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.usefixtures("others")
def test_the_responder_assists_and_a_broken_one_disturbs_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "deny.txt"
    monkeypatch.setenv("DENY_FILE", str(file))
    lead = DryRunFirewall()
    options = ResponderOptions()
    made = [
        Assistant(name, plugins.load(plugins.RESPONDERS, name)(options))
        for name in ("refuses", "deny-file")
    ]
    team = Team(lead, made)
    team.install()
    team.block(ip_address(STRANGER), 60)
    team.block(ip_address("2001:db8::1"), 60)
    wait(lambda: file.exists() and file.read_text().count("deny") == 2)
    assert lead.blocked().keys() == {ip_address(STRANGER), ip_address("2001:db8::1")}
    assert team.unblock(ip_address(STRANGER))
    wait(lambda: file.read_text() == "deny 2001:db8::1;\n")
    wait(lambda: team.health()["responder.refuses.errors"] >= 1)
    # An order counts once it is carried out, which the file shows a moment before.
    wait(lambda: team.health()["responder.deny-file.orders"] == 3)
    team.close()


@pytest.mark.usefixtures("others")
def test_the_responder_may_lead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, honeynet_settings: Settings
) -> None:
    file = tmp_path / "deny.txt"
    monkeypatch.setenv("DENY_FILE", str(file))
    policy = ReactionPolicy(honeynet_settings)
    team = make_team(["deny-file"], ResponderOptions(allow=tuple(policy.allow)))
    store = ClaimStore(tmp_path / "b.sqlite3")
    enforcement = Enforcement(
        policy,
        team,
        store,
        gateway="gw1",
        authorities=["s"],
        clocks=lambda: ClockReading("boot", 5.0, T0),
    )
    enforcement.start()
    order = make_decision(source=STRANGER, decided_us=T0, duration_s=60)
    assert [r.block.state for r in enforcement.handle([order], "s")] == ["active"]
    assert file.read_text() == f"deny {STRANGER};\n"
    team._lead.unblock(ip_address(STRANGER))  # somebody else did
    enforcement.tick()
    assert file.read_text() == f"deny {STRANGER};\n"
    enforcement.close()


@pytest.mark.usefixtures("others")
def test_a_lead_that_fails_is_a_block_that_failed() -> None:
    team = make_team(["refuses"], ResponderOptions())
    with pytest.raises(FirewallError, match="responder 'refuses': OSError: on purpose"):
        team.block(ip_address(STRANGER), 60)
    with pytest.raises(FirewallError, match="has no block, unblock, blocked, close"):
        make_team(["half"], ResponderOptions())
    team = make_team(["refuses", "half"], ResponderOptions())
    assert team.health()["responder.half.missing"] == 1


@pytest.mark.usefixtures("others")
def test_what_can_t_be_imported_is_one_plain_error() -> None:
    for name in ("no-such-module",):
        with pytest.raises(PluginError, match="can't be loaded: ModuleNotFoundError"):
            plugins.load(plugins.DETECTORS, name)


@pytest.fixture
def honeynet_settings(tmp_path: Path) -> Settings:
    return load_settings(honeynet(tmp_path, ""))


def test_the_page_shows_what_is_tested_here() -> None:
    page = (ROOT / "docs" / "plugins.md").read_text()
    for file in ("pyproject.toml", "ontoidps_example.py"):
        assert (EXAMPLE / file).read_text().strip() in page
