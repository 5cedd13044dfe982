"""REST over ASGI: who may do what, CSRF, login, and that hostile text stays text."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from agents.console.guard import CSP
from tests.agents.console.doors import go_to_the_socket

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> ${7*7} \u202e' OR 1=1"


async def log_in(client: httpx.AsyncClient, user: str) -> httpx.AsyncClient:
    """A logged-in client that sends its CSRF token."""
    answer = await client.post("/login", data={"user": user, "password": f"{user} pass"})
    assert answer.status_code == 303
    client.headers["X-CSRF-Token"] = (await client.get("/api/v1/me")).json()["csrf"]
    return client


@pytest.fixture
async def entry(operations, link, kit):
    made = kit.decision()
    plan = await operations.decide(made, *kit.evidence(made))
    await link.flush()
    return plan.entry


READ = [
    "/api/v1/me",
    "/api/v1/blocks",
    "/api/v1/blocks/{id}",
    "/api/v1/agents",
    "/api/v1/incidents",
    "/api/v1/alerts",
    "/api/v1/audit",
    "/api/v1/clusters",
]
WRITE = [
    ("/api/v1/blocks", {"source": "203.0.113.77", "reason": "x"}),
    ("/api/v1/blocks/{id}/extend", {"seconds": 60, "reason": "x"}),
    ("/api/v1/blocks/{id}/lift", {"reason": "x"}),
    ("/api/v1/blocks/{id}/lift", {"reason": "x", "grace_s": 60}),
    ("/api/v1/blocks/{id}/shorten", {"seconds": 60, "reason": "x"}),
]
VERDICTS = ["/api/v1/blocks/{id}/approve", "/api/v1/blocks/{id}/veto", "/api/v1/undo"]
"""Of what doesn't wait, and by who has done nothing: refused, once it is known who asks."""


def routes(app) -> set[tuple[str, str]]:
    """(method, path) of everything under /api/v1, from the OpenAPI document."""
    paths = app.openapi()["paths"]
    return {(method.upper(), path) for path, operations in paths.items() for method in operations}


def test_the_matrix_below_knows_every_route(app):
    known = {("GET", p.replace("{id}", "{block_id}")) for p in READ}
    known |= {("POST", p.replace("{id}", "{block_id}")) for p, _ in WRITE}
    known |= {("POST", p.replace("{id}", "{block_id}")) for p in VERDICTS}
    known |= {("GET", "/api/v1/events"), ("POST", "/api/v1/logout")}
    known |= {("POST", "/api/v1/clusters/{number}")}  # test_api_clusters.py
    known |= {
        ("POST", f"/api/v1/ontology/{what}") for what in ("facts", "query", "rules/{label}")
    }  # test_api_ontology
    known |= {("GET", f"/api/v1/ontology/{what}") for what in ("rules", "incidents/{incident_id}")}
    one = "/api/v1/messages/{keeper}/{time_us}/{offset}"
    known |= {("GET", "/api/v1/messages"), ("GET", one)}  # test_api_messages.py
    known |= {("GET", "/api/v1/idmef"), ("POST", "/api/v1/idmef")}  # test_api_idmef.py
    alert = "/api/v1/alerts/{alert_id}"
    known |= {("GET", alert + what) for what in ("", "/evidence", "/capture")}  # test_api_evidence
    assert routes(app) == known


@pytest.mark.parametrize("path", READ)
@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("nobody", 401),
        ("viewer", 200),
        ("operator", 200),
        ("cli", 200),
        ("bearer", 401),
        ("no token", 401),
    ],
)
async def test_who_may_read(browser, entry, credentials, path, who, expected):
    async with browser() as client:
        await become(client, who, credentials)
        answer = await client.get(path.format(id=entry.id))
        assert answer.status_code == expected


@pytest.mark.parametrize(("path", "body"), WRITE)
@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("nobody", 401),
        ("viewer", 403),
        ("operator", 202),
        ("cli", 202),
        ("bearer", 401),
        ("no token", 401),
    ],
)
async def test_who_may_write(browser, operations, entry, credentials, path, body, who, expected):
    async with browser() as client:
        await become(client, who, credentials)
        before = operations.ledger.audit_trail(limit=1)[0].seq
        answer = await client.post(path.format(id=entry.id), json=body)
        assert answer.status_code == expected, answer.text
        after = operations.ledger.audit_trail(limit=1)[0]
        assert after.seq == before + (1 if expected == 202 else 0)
        if expected == 202:
            assert after.who == ("user:cli" if who == "cli" else "user:operator")


@pytest.mark.parametrize("path", VERDICTS)
@pytest.mark.parametrize(
    ("who", "expected"), [("nobody", 401), ("viewer", 403), ("operator", 422), ("bearer", 401)]
)
async def test_who_may_give_a_verdict(browser, entry, credentials, path, who, expected):
    async with browser() as client:
        await become(client, who, credentials)
        answer = await client.post(path.format(id=entry.id), json={"reason": "x"})
        assert answer.status_code == expected, answer.text


async def become(client, who, credentials):
    if who in ("viewer", "operator"):
        await log_in(client, who)
    elif who == "cli":
        go_to_the_socket(client, credentials.token)
    elif who == "no token":
        go_to_the_socket(client, "a" * 43)
    elif who != "nobody":
        # The right token, at the page.
        client.headers["Authorization"] = f"Bearer {credentials.token}"


@pytest.mark.parametrize("path", [*dict(WRITE), *VERDICTS, "/api/v1/logout", "/api/v1/clusters/0"])
@pytest.mark.parametrize(
    "spoil",
    [
        {"X-CSRF-Token": None},
        {"X-CSRF-Token": "wrong"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "null"},
        {"Origin": None},
    ],
)
async def test_a_request_of_another_page_changes_nothing(browser, operations, entry, path, spoil):
    async with browser() as client:
        await log_in(client, "operator")
        for name, value in spoil.items():
            del client.headers[name]
            if value is not None:
                client.headers[name] = value
        answer = await client.post(path.format(id=entry.id), json={"reason": "x"})
        assert answer.status_code == 403
        assert operations.ledger.entry(entry.id).state == "active"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", ""]
)
async def test_a_foreign_host_name_is_refused(browser, host):
    async with browser() as client:
        answer = await client.get("/login", headers={"Host": host})
        assert answer.status_code == 421


@pytest.mark.parametrize("host", ["localhost:9000", "[::1]:8080", "127.0.0.1"])
async def test_a_tunnel_may_use_any_port(browser, host):
    async with browser() as client:
        assert (await client.get("/login", headers={"Host": host})).status_code == 200


async def test_every_answer_has_the_strict_headers(browser, entry):
    async with browser() as client:
        for path in ("/", "/login", "/static/main.js", "/static/none", "/api/v1/me", "/healthz"):
            headers = (await client.get(path)).headers
            assert headers["content-security-policy"] == CSP
            assert headers["x-content-type-options"] == "nosniff"
            assert "server" not in headers
    assert "unsafe" not in CSP
    assert CSP.startswith("default-src 'none'")


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(browser):
    async with browser() as client:
        form = {"user": "viewer", "password": "viewer pass"}
        answer = await client.post("/login", data=form)
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "secure" not in cookie
        client.headers["Origin"] = "https://127.0.0.1:8080"
        answer = await client.post("/login", data=form)
        assert "secure" in answer.headers["set-cookie"].lower()


async def test_logins_are_limited_by_name_and_the_limit_ends(browser, clock, operations, console):
    async with browser() as client:
        wrong = {"user": "operator", "password": "guess"}
        for _ in range(5):
            assert (await client.post("/login", data=wrong)).status_code == 401
        right = {"user": "operator", "password": "operator pass"}
        answer = await client.post("/login", data=right)
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 60
        other = {"user": "viewer", "password": "viewer pass"}
        assert (await client.post("/login", data=other)).status_code == 303
        clock.turn(61)
        assert (await client.post("/login", data=right)).status_code == 303
        assert console.counters["logins_failed"] == 5
        failed = [x for x in operations.ledger.audit_trail(limit=50) if x.what == "login failed"]
        assert len(failed) == 5


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"user=a", 400),
        (b"user=%ff&password=x", 401),
        (b"\xff\xfe", 400),
        (b"&" * 100, 400),
        (b"user=" + b"a" * 70 + b"&password=x", 401),
        (b"user=operator&password=" + b"a" * 1000, 401),
        (b"a" * 70_000, 413),
    ],
)
async def test_a_bad_login_form_is_an_answer_not_an_error(browser, body, status):
    async with browser() as client:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await client.post("/login", content=body, headers=headers)
        assert answer.status_code == status


async def test_sessions_end_by_idleness_by_age_by_logout_and_by_demotion(
    browser, clock, credentials
):
    async def status(client):
        return (await client.get("/api/v1/me")).status_code

    async with browser() as client:
        await log_in(client, "operator")
        clock.turn(29 * 60)
        assert await status(client) == 200
        clock.turn(30 * 60)
        assert await status(client) == 401
        await log_in(client, "operator")
        for _ in range(16):
            assert await status(client) == 200
            clock.turn(29.99 * 60)
        clock.turn(60)
        assert await status(client) == 401
        await log_in(client, "operator")
        assert (await client.post("/api/v1/logout")).status_code == 204
        assert await status(client) == 401
        await log_in(client, "operator")
        credentials.users.set("operator", "operator pass", "viewer")
        assert await status(client) == 401


async def test_the_page_leads_to_the_login_and_back(browser):
    async with browser() as client:
        answer = await client.get("/")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        await log_in(client, "viewer")
        answer = await client.get("/")
        assert answer.status_code == 200
        assert '<script type="module" src="/static/main.js">' in answer.text


async def test_hostile_text_comes_back_as_the_same_json_string(browser, operations, link, kit):
    made = kit.decision(reason=HOSTILE, classification="HoneypotExploitIncident")
    incident, alerts = kit.evidence(made)
    incident = replace(incident, explanation=HOSTILE)
    alerts = tuple(replace(a, explanation=HOSTILE) for a in alerts)
    plan = await operations.decide(made, incident, alerts)
    await link.flush()
    async with browser() as client:
        await log_in(client, "viewer")
        answer = await client.get(f"/api/v1/blocks/{plan.entry.id}")
        assert answer.headers["content-type"] == "application/json"
        detail = answer.json()
    assert detail["block"]["reason"] == HOSTILE
    assert detail["incidents"][0]["explanation"] == HOSTILE
    assert {a["explanation"] for a in detail["alerts"]} == {HOSTILE}


async def test_a_block_is_explained_in_full(browser, operations, link, entry, kit):
    await operations.report(kit.report(kit.decision(), "gw2", "failed", detail="no memory"))
    await link.flush()
    async with browser() as client:
        await log_in(client, "viewer")
        short = entry.id.removeprefix("urn:uuid:")
        detail = (await client.get(f"/api/v1/blocks/{short}")).json()
    assert detail["block"]["source"] == "203.0.113.9"
    assert detail["incidents"][0]["rule"] == "ScanThenBruteForce"
    assert len(detail["alerts"]) == 2
    states = {g["gateway"]: (g["wanted"], g["state"]) for g in detail["block"]["gateways"]}
    assert states == {
        "gw1": ("block", "pending"),
        "gw2": ("block", "failed"),
        "gw3": ("block", "pending"),
    }
    assert [line["what"] for line in detail["audit"]] == ["block failed", "block: blocked"]


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("blocks", {"source": "not an address", "reason": "x"}, 422, "source"),
        ("blocks", {"source": "10.0.0.0/8", "reason": "x"}, 422, "source"),
        ("blocks", {"source": "203.0.113.1"}, 422, "reason"),
        ("blocks", {"source": "203.0.113.1", "reason": " \n\t "}, 422, "a reason is needed"),
        ("blocks", {"source": "203.0.113.1", "reason": "x" * 501}, 422, "reason"),
        ("blocks", {"source": "203.0.113.1", "reason": "\ud800"}, 422, "reason"),
        ("blocks", {"source": "203.0.113.1", "reason": "x", "duration_s": 0}, 422, "duration_s"),
        ("blocks", {"source": "203.0.113.1", "reason": "x", "evil": 1}, 422, "evil"),
        ("blocks", {"source": "198.51.100.1", "reason": "x"}, 422, "allow-list"),
        ("blocks", {"source": "10.0.3.1", "reason": "x"}, 422, "node gw3"),
        ("blocks", {"source": "127.0.0.1", "reason": "x"}, 422, "not the address"),
        ("blocks", {"source": "203.0.113.1", "reason": "x", "duration_s": 10**6}, 422, "at most"),
        ("blocks/none/lift", {"reason": "x"}, 404, "no such block"),
        ("blocks/none/extend", {"reason": "x", "seconds": 1}, 404, "no such block"),
        ("blocks/{id}/extend", {"reason": "x", "seconds": 10**7}, 422, "at most"),
    ],
)
async def test_a_bad_request_gets_one_clear_line(browser, post, entry, path, body, status, message):
    post.take()
    async with browser() as client:
        await log_in(client, "operator")
        content = json.dumps(body).encode()
        answer = await client.post(
            f"/api/v1/{path.format(id=entry.id)}",
            content=content,
            headers={"Content-Type": "application/json"},
        )
    assert answer.status_code == status
    detail = answer.json()["detail"]
    assert message in detail
    assert "\n" not in detail
    assert post.orders == []


async def test_a_reason_becomes_one_line(browser, operations):
    async with browser() as client:
        await log_in(client, "operator")
        body = {"source": "203.0.113.1", "reason": "one\r\ntwo\x00\x1b[31m  three"}
        made = (await client.post("/api/v1/blocks", json=body)).json()
    assert made["reason"] == "one two [31m three"
    assert (made["classification"], made["origin"]) == ("Manual", "user:operator")


async def test_lifting_twice_is_a_conflict(browser, entry):
    async with browser() as client:
        await log_in(client, "operator")
        path = f"/api/v1/blocks/{entry.id}/lift"
        first = await client.post(path, json={"reason": "mistake"})
        assert (first.status_code, first.json()["state"]) == (202, "lifted")
        assert (await client.post(path, json={"reason": "again"})).status_code == 409
        assert (await client.get("/api/v1/blocks")).json() == []
        assert len((await client.get("/api/v1/blocks?state=lifted")).json()) == 1


async def test_filters_and_their_limits(browser, operations, link, kit):
    for i in range(4):
        await operations.decide(kit.decision(f"d{i}", f"203.0.113.{i + 1}"), None, ())
    await link.flush()
    async with browser() as client:
        await log_in(client, "viewer")

        async def sources(query):
            answer = await client.get(f"/api/v1/blocks?{query}")
            assert answer.status_code == 200
            return [b["source"] for b in answer.json()]

        assert await sources("source=203.0.113.2") == ["203.0.113.2"]
        assert await sources("limit=2&offset=1") == ["203.0.113.3", "203.0.113.2"]
        assert len(await sources("gateway=gw2")) == 4
        for bad in ("limit=0", "limit=99999", "offset=-1", "state=x", "source=x"):
            assert (await client.get(f"/api/v1/blocks?{bad}")).status_code == 422


async def test_metrics_are_for_this_host(browser, operations, link, settings, kit):
    await operations.register(
        kit.describe(settings, "reaction", "gw1"), settings.jid("reaction", "gw1")
    )
    await link.flush()
    async with browser() as client:
        text = (await client.get("/metrics")).text
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["ontoidps_blocks_active",] == 0
    assert samples["ontoidps_agent_up", "gw1", "reaction"] == 1
    assert samples["ontoidps_agent_up", "gw1", "sensor"] == 0
    assert samples["ontoidps_agent_total", "gw1", "reaction", "sent"] == 12
    assert samples["ontoidps_store_rows", "audit"] == 1
    assert samples["ontoidps_viewers",] == 0


async def test_metrics_behind_a_proxy_are_at_the_operators_socket(console, credentials):
    from agents.console.app import create_app

    app = create_app(console, credentials, behind_proxy=True)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://ids.example") as client:
        assert (await client.get("/metrics")).status_code == 403
        client.headers["Host"] = "localhost"
        go_to_the_socket(client, credentials.token)
        assert (await client.get("/metrics")).status_code == 200


async def test_no_page_that_loads_foreign_scripts(browser):
    async with browser() as client:
        for path in ("/docs", "/redoc", "/static/../app.py", "/static/index.html"):
            assert (await client.get(path)).status_code == 404
        document = (await client.get("/api/v1/openapi.json")).json()
    assert document["info"]["title"] == "OntoIDPS console"


async def test_agents_show_health_and_absence(browser, operations, link, settings, kit):
    await operations.register(
        kit.describe(settings, "reaction", "gw1"), settings.jid("reaction", "gw1")
    )
    await link.flush()
    async with browser() as client:
        await log_in(client, "viewer")
        agents = {a["name"]: a for a in (await client.get("/api/v1/agents")).json()}
    assert len(agents) == 13
    one = agents[settings.jid("reaction", "gw1")]
    assert (one["state"], one["health"]) == ("up", {"sent": "12", "received": "30"})
    assert agents[settings.jid("sensor", "gw3")]["state"] == "absent"
