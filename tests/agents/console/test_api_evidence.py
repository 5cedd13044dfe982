"""An alert, its packet and its capture through the console: who may, headers, silence."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from agents.console.guard import CSP
from agents.idmef.writing import record_of
from agents.main import main
from datasets.captures.pcap import read_capture
from tests.agents.console.kept_evidence import kept_evidence

NAME = "5b0f1f0a-2f0e-5d8e-9a53-7c3f8a1f6f99"
PATHS = (f"alerts/{NAME}", f"alerts/{NAME}/evidence", f"alerts/{NAME}/capture")


@pytest.fixture
async def alert(link, kit, tmp_path):
    """One that a sensor keeps a packet for, and the supervisor has told the console of."""
    with kept_evidence(tmp_path) as (made, sensor):
        link.sensor = sensor
        cause = kit.decision()
        incident, _ = kit.evidence(cause)
        await link.operations.decide(cause, replace(incident, alerts=(made.id,)), (made,))
        await link.flush()
        yield made


@pytest.fixture
def viewer_of(browser):
    async def make(stack):
        client = await stack.enter_async_context(browser())
        await client.post("/login", data={"user": "viewer", "password": "viewer pass"})
        return client

    return make


async def test_only_who_has_logged_in_sees_packets(alert, browser):
    async with browser() as nobody:
        for path in PATHS:
            assert (await nobody.get(f"/api/v1/{path}")).status_code == 401


async def test_a_viewer_sees_the_dissection_and_downloads_the_conversation(
    alert, viewer_of, tmp_path
):
    async with AsyncExitStack() as stack:
        client = await viewer_of(stack)
        view = (await client.get(f"/api/v1/{PATHS[0]}")).json()["alert"]
        assert view["signatures"] == ["urn:ontoidps:signature:1:1000001"]
        assert (view["cves"], view["affected_systems"]) == (["CVE-2021-41773"], ["Linux"])
        assert view["affected_services"] == ["Web Server", "http"]
        found = (await client.get(f"/api/v1/{PATHS[1]}")).json()
        assert "###[ IP ]###" in found["dissection"] and "192.0.2.66" in found["dissection"]
        assert 0 < found["cited"] < found["packets"]
        answer = await client.get(f"/api/v1/{PATHS[2]}")
    assert answer.headers["content-type"] == "application/vnd.tcpdump.pcap"
    assert answer.headers["content-disposition"] == f'attachment; filename="alert-{NAME}.pcap"'
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-security-policy"] == CSP
    assert answer.headers["x-content-type-options"] == "nosniff"
    path = tmp_path / "got.pcap"
    path.write_bytes(answer.content)
    (raw,) = read_capture(path)
    assert len(raw) == found["packets"] and b".." in raw.frame(found["cited"] - 1)


async def test_what_is_not_there_is_said(alert, link, viewer_of):
    async with AsyncExitStack() as stack:
        client = await viewer_of(stack)
        for name in ("none", "..%2f..%2fetc", "%00", "a" * 900):
            answer = await client.get(f"/api/v1/alerts/{name}/evidence")
            assert answer.status_code == 404, name
        link.silent.add("sensor")
        for path in PATHS[1:]:
            answer = await client.get(f"/api/v1/{path}")
            assert answer.status_code == 503
            assert "has not answered" in answer.json()["detail"]


async def test_an_alert_without_packets_has_no_capture(alert, link, kit, viewer_of):
    cause = kit.decision("d2")
    incident, alerts = kit.evidence(cause)
    await link.operations.decide(cause, incident, alerts)
    await link.flush()
    async with AsyncExitStack() as stack:
        client = await viewer_of(stack)
        name = alerts[0].id.removeprefix("urn:uuid:")
        found = (await client.get(f"/api/v1/alerts/{name}/evidence")).json()
        assert (found["packets"], found["dissection"]) == (0, "")
        answer = await client.get(f"/api/v1/alerts/{name}/capture")
        assert answer.status_code == 404 and "no packet is kept" in answer.json()["detail"]


async def test_a_sensor_that_nobody_knows_is_not_asked(alert, link, kit, viewer_of):
    cause = kit.decision("d3")
    incident, alerts = kit.evidence(cause)
    alerts = tuple(replace(a, sensor="sensor.gw9@elsewhere") for a in alerts)
    await link.operations.decide(cause, incident, alerts)
    await link.flush()
    link.sensor = None
    async with AsyncExitStack() as stack:
        client = await viewer_of(stack)
        name = alerts[0].id.removeprefix("urn:uuid:")
        answer = await client.get(f"/api/v1/alerts/{name}/evidence")
    assert answer.status_code == 422 and "not one of this honeynet" in answer.json()["detail"]


@pytest.fixture
def honeynet_toml(tmp_path):
    """What `make_settings` says, as a file."""
    nodes = "".join(
        f'[[node]]\nname = "gw{i}"\ninterfaces = ["eth0"]\naddresses = ["10.0.{i}.1"]\nagents = '
        + json.dumps(
            ["sensor", "analyzer", "reaction"]
            + (["supervisor", "correlation", "ontology", "console"] if i == 1 else [])
        )
        + "\n"
        for i in (1, 2, 3)
    )
    path = tmp_path / "honeynet.toml"
    path.write_text(f'name = "testnet"\nstate_dir = "{tmp_path}"\n{nodes}')
    return path


def test_the_command_shows_the_packet_and_writes_the_conversation(
    serve, kit, tmp_path, honeynet_toml, capsys
):
    running = serve("127.0.0.1:0")
    with kept_evidence(tmp_path) as (made, sensor):
        running.link.sensor = sensor
        made = replace(made, explanation=f"{made.explanation} \x1b[2Jcleared")
        cause = kit.decision(decided_us=running.operations.clock())
        incident, _ = kit.evidence(cause)
        incident = replace(incident, alerts=(made.id,))
        running.call(running.operations.decide(cause, incident, (made,)))
        running.call(running.link.flush())
        file, pcap = str(honeynet_toml), tmp_path / "out.pcap"
        assert main(["alerts", "list", file, "--idmef"]) == 0
        documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert {record_of(one).id for one in documents} >= {f"urn:uuid:{NAME}"}
        assert main(["alerts", "list", file, "--idmef", "--json"]) == 1
        assert "--idmef or --json, not both" in capsys.readouterr().err
        assert main(["alerts", "list", file]) == 0
        assert f"{NAME}  WebAttack  192.0.2.66 -> 192.0.2.80 port 80" in capsys.readouterr().out
        assert main(["alerts", "show", file, NAME, "--pcap", str(pcap)]) == 0
        said = capsys.readouterr()
        for line in (
            "signature:  urn:ontoidps:signature:1:1000001",
            "CVE:        CVE-2021-41773",
            "service:    Web Server, http",
            "system:     Linux",
            "###[ TCP ]###",
            "dport     = http",
        ):
            assert line in said.out, line
        assert "\x1b" not in said.out and "\\x1b[2Jcleared" in said.out
        (raw,) = read_capture(pcap)
        assert f"{len(raw)} packets in {pcap}" in said.err
        assert main(["alerts", "show", file, f"urn:uuid:{NAME}", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["evidence"]["packets"] == len(raw)
        assert main(["alerts", "show", file, "nothing"]) == 1
        assert "there is no such alert" in capsys.readouterr().err
        assert main(["alerts", "show", file, NAME, "--pcap", str(tmp_path)]) == 1
        assert "is a directory" in capsys.readouterr().err
