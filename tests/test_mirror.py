"""Each module has a test file of its name at the mirrored place, or stands here with its reason."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Reason → modules without a test file of their name.
ELSEWHERE: dict[str, tuple[str, ...]] = {
    "its command is run as a user runs it, in tests/agents/commands, tests/e2e or test_setup.py": (
        "agents/commands/demo.py",
        "agents/commands/enrol.py",
        "agents/commands/ontology_check.py",
        "agents/commands/ontology_knowledge.py",
        "agents/commands/ontology_run.py",
        "agents/commands/rules_explain.py",
        "agents/commands/rules_switch.py",
        "agents/commands/rules_text.py",
        "agents/commands/up.py",
        "agents/demo/run.py",
        "agents/demo/world.py",
        "agents/offline/evidence_folder.py",
        "agents/offline/record_files.py",
        "agents/offline/replay.py",
        "agents/commands/replay_shown.py",
    ),
    "runs as a process of its own: its parent's test starts it for real": (
        "agents/base/runner.py",
        "agents/launcher/process.py",
        "agents/ontology/query_worker.py",
        "agents/reaction/reset_worker.py",
        "agents/sensor/signatures/match_worker.py",
        "ontology/checking/logic_worker.py",
        "ontology/reasoner/worker.py",
    ),
    "the JVM: test_client and test_explanations run it through its worker": (
        "ontology/reasoner/pellet.py",
        "ontology/reasoner/premises.py",
    ),
    "needs scapy, a packet socket or the laboratory: test_packet_sources, test_network and the "
    "recipe's own test run it there": (
        "agents/sensor/capture/scapy_capture.py",
        "datasets/laboratory/decoy.py",
        "datasets/laboratory/sandbox.py",
        "datasets/laboratory/topology.py",
        "datasets/recipe/controller_stand_ins.py",
        "datasets/recipe/login_traffic.py",
        "datasets/recipe/misuse_traffic.py",
        "datasets/recipe/peers.py",
        "datasets/recipe/scenario_traffic.py",
        "datasets/recipe/service_stand_ins.py",
        "datasets/recipe/sip_stand_in.py",
        "datasets/recipe/site_stand_in.py",
        "datasets/recipe/spoof.py",
    ),
    "one algorithm in several files: test_table compares rounds and automaton packet by packet": (
        "agents/sensor/flows/automaton.py",
        "agents/sensor/flows/rounds.py",
    ),
    "one algorithm in several files: test_chainer and test_mixtures compare it with Pellet": (
        "ontology/chainer/justify.py",
        "ontology/chainer/prefilter.py",
        "ontology/chainer/program.py",
    ),
    "one kind of check each: test_check_files has a file with each slip": (
        "ontology/checking/conclusions.py",
        "ontology/checking/logic.py",
        "ontology/checking/rules.py",
        "ontology/checking/terms.py",
        "ontology/checking/held_terms.py",
        "ontology/checking/breadth.py",
    ),
    "halves of the codec, records and their checks: test_fragments, test_records": (
        "ontology/_shapes.py",
        "ontology/_values.py",
        "ontology/gateway_addresses.py",
        "ontology/oversight.py",
        "ontology/ranges.py",
    ),
    "what all detectors share: test_scans, test_slow_scans and test_findings": (
        "agents/analyzer/view.py",
    ),
    "what it makes is checked whole: test_samples, test_compiled_files, test_documentation": (
        "rules/scenarios/scenario_rules.py",
    ),
    "only types, names or constants": (
        "agents/sensor/inputs/sightings.py",
        "agents/analyzer/encoding.py",
        "agents/sensor/flows/packets.py",
        "agents/supervisor/errors.py",
        "ontology/reasoner/inferences.py",
    ),
    "plug-ins and their options: test_plugins": ("agents/analyzer/detectors.py",),
    "XMPP and its stanzas: test_agent with a real server, tests/e2e": (
        "agents/base/bus.py",
        "agents/base/health.py",
        "agents/base/message_filter.py",
    ),
    "parts of one room, tested through its agent or API": (
        "agents/base/context.py",
        "agents/base/exchange.py",
        "agents/base/registration.py",
        "agents/base/speaker.py",
        "agents/console/access.py",
        "agents/console/action_errors.py",
        "agents/console/app.py",
        "agents/console/asking.py",
        "agents/console/client.py",
        "agents/console/clusters.py",
        "agents/console/guard.py",
        "agents/console/knowledge.py",
        "agents/console/message_monitor.py",
        "agents/console/views.py",
        "agents/correlation/cases.py",
        "agents/correlation/inference_findings.py",
        "agents/correlation/outcome.py",
        "agents/correlation/reports.py",
        "agents/launcher/logs.py",
        "agents/ontology/actions.py",
        "agents/ontology/descriptions.py",
        "agents/reaction/firewall.py",
        "agents/reaction/ruleset.py",
        "agents/supervisor/store.py",
    ),
}
LISTED = [module for modules in ELSEWHERE.values() for module in modules]


def mirrored(module: str) -> Path:
    path = Path(module)
    return ROOT / "tests" / path.parent / f"test_{path.name}"


def test_every_module_has_its_test_or_a_reason() -> None:
    modules = {
        path.relative_to(ROOT).as_posix()
        for floor in ("agents", "datasets", "ontology", "rules")
        for path in (ROOT / floor).rglob("*.py")
        if path.name != "__init__.py"
    }
    assert sorted(module for module in modules - set(LISTED) if not mirrored(module).exists()) == []


@pytest.mark.parametrize("module", LISTED)
def test_nothing_is_listed_that_is_gone_or_has_its_test(module: str) -> None:
    assert (ROOT / module).is_file()
    assert not mirrored(module).exists()


def test_nothing_is_listed_twice() -> None:
    assert len(LISTED) == len(set(LISTED))
