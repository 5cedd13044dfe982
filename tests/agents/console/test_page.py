"""The page in a real browser: hostile text, a lift by hand, nothing from elsewhere."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from contextlib import closing
from dataclasses import replace
from ipaddress import ip_address

import pytest

from agents.base.conditions import Conditions, as_text
from agents.base.message_log import MessageLog, log_folder
from agents.knowledge.window_export import alerts_of, incident_file, incident_of, packed
from agents.messages.acl import AclMessage
from agents.settings.modes import Modes
from ontology.clusters_file import clusters_path, read_clusters
from ontology.fragments import encode
from ontology.knowledge_base import KnowledgeBase, ontology_path
from ontology.reasoner.window_file import read_window
from ontology.records import Answer, OntologyChanged, Query
from rules.shipped_files import rule_paths
from tests.agents.console.kept_evidence import kept_evidence

pytestmark = pytest.mark.browser

HOSTILE = (
    "<img src=http://203.0.113.66/x onerror=\"document.title='owned'\"><script>alert(1)</script>"
)
LIMIT_S = 30


@pytest.fixture
def chromium(tmp_path):
    """Headless Debian Chromium with logs of its console and of the network."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not driver:
        pytest.skip("needs chromium and chromedriver (Debian: chromium-driver)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1400,900",
        f"--user-data-dir={tmp_path / 'profile'}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield made
    finally:
        made.quit()


def test_an_operator_reads_a_hostile_block_and_lifts_it(chromium, serve, kit, settings):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    running = serve("127.0.0.1:0")
    now = running.operations.clock()
    made = kit.decision(reason=HOSTILE, decided_us=now)
    incident, alerts = kit.evidence(made)
    incident = replace(incident, explanation=f"{HOSTILE}\n{HOSTILE}", rule=HOSTILE)
    alerts = tuple(replace(a, explanation=HOSTILE, sensor=HOSTILE) for a in alerts)
    running.call(running.operations.decide(made, incident, alerts))
    for gateway in kit.GATEWAYS:
        one = kit.describe(settings, "reaction", gateway)
        running.call(running.operations.register(one, one.name))
        found = kit.report(made, gateway, at_us=now, detail=HOSTILE)
        running.call(running.operations.report(found))

    def css(selector):
        return chromium.find_elements(By.CSS_SELECTOR, selector)

    def wait(condition, what):
        return WebDriverWait(chromium, LIMIT_S).until(lambda _: condition(), what)

    chromium.get(running.url)
    assert chromium.current_url.endswith("/login")
    css("#user")[0].send_keys("operator")
    css("#password")[0].send_keys("operator pass" + Keys.ENTER)

    (row,) = wait(lambda: css(".rows .row"), "the block is in the table")
    assert row.find_element(By.CSS_SELECTOR, ".c-source b").text == "203.0.113.9"
    assert row.find_element(By.CSS_SELECTOR, ".c-why small").get_attribute("textContent") == HOSTILE
    assert len(row.find_elements(By.CSS_SELECTOR, ".chip.good")) == 3
    wait(lambda: css("#link")[0].text == "live", "the stream is live")

    # A second block arrives by itself.
    running.call(running.operations.block(ip_address("2001:db8::77"), 600, "by hand", "ana"))
    wait(lambda: len(css(".rows .row")) == 2, "the new block appears without a reload")

    chromium.find_element(By.XPATH, "//b[text()='203.0.113.9']").click()
    wait(lambda: css("#detail .facts"), "the explanation is shown")
    detail = css("#detail")[0].get_attribute("textContent")
    assert detail.count(HOSTILE) >= 5
    assert css("#detail img, #detail script, .rows img, .feed img, dialog img") == []

    css("#detail .danger")[0].click()
    wait(lambda: css("dialog[open]"), "the lift asks first")
    assert "203.0.113.9" in css("dialog[open]")[0].text
    assert "gw1, gw2, gw3" in css("dialog[open]")[0].text
    css("dialog[open] input")[0].send_keys("false positive" + Keys.ENTER)
    wait(lambda: "lifting" in css(".rows")[0].text, "wanted, but not yet confirmed")
    for gateway in kit.GATEWAYS:
        later = running.operations.clock()
        found = kit.report(made, gateway, "lifted", later)
        running.call(running.operations.report(found))
    wait(lambda: len(css(".rows .row")) == 1, "the confirmed lift leaves the active blocks")
    entry = running.operations.ledger.entry_of_decision(made.id)
    assert (entry.state, entry.ended_by) == ("lifted", "user:operator")

    # Keyboard: history, filter, help.
    body = css("body")[0]
    body.send_keys("h")
    wait(lambda: "203.0.113.9" in css(".rows")[0].text, "the history has the lifted block")
    body.send_keys("/")
    chromium.switch_to.active_element.send_keys("no such thing" + Keys.ESCAPE)
    wait(lambda: css(".rows .row") == [], "the filter filters")
    body.send_keys("?")
    wait(lambda: css("dialog.sheet[open]"), "help opens")

    assert chromium.title == "testnet · OntoIDPS"
    assert chromium.get_log("browser") == []
    asked = []
    for line in chromium.get_log("performance"):
        message = json.loads(line["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.append(message["params"]["request"]["url"])
    foreign = [u for u in asked if not u.startswith((running.url + "/", "chrome:", "data:"))]
    assert asked
    assert foreign == []


def log_in(chromium, url):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    chromium.get(url)
    chromium.find_element(By.ID, "user").send_keys("operator")
    chromium.find_element(By.ID, "password").send_keys("operator pass" + Keys.ENTER)


def test_after_a_restart_of_the_console_the_page_leads_to_the_login(chromium, serve):
    """Sessions end with the console: a page that only tries again would do so for ever."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    def text(selector):
        return chromium.find_element(By.CSS_SELECTOR, selector).text

    running = serve("127.0.0.1:0")
    log_in(chromium, running.url)
    wait = WebDriverWait(chromium, LIMIT_S)
    wait.until(lambda _: text("#link") == "live")
    running.stop()
    wait.until(lambda _: "has not been heard since" in text("#stale"))
    serve(running.url.removeprefix("http://"))
    wait.until(lambda _: chromium.current_url.endswith("/login"))


REASON = """\
Rule ScanThenBruteForce: A source that scanned a host tries passwords on the same host.
SynScan from 203.0.113.9 on 198.51.100.5 at 2026-09-21 14:13:20 UTC (source not verified)
then FtpBruteForce from 203.0.113.9 on 198.51.100.5 at 2026-09-21 14:13:25 UTC (source verified)
because SynScan is a kind of PortScan, and that of Scan"""
LIMIT = "The reaction rules call for a block. Severity 0.80, at least 0.50 is needed."


def test_what_the_engine_says_is_told_in_parts_and_once(chromium, serve, kit):
    """A decision's reason is the incident's whole explanation and a line on the limit."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    def texts(selector):
        found = chromium.find_elements(By.CSS_SELECTOR, selector)
        return [e.get_attribute("textContent") for e in found]

    running = serve("127.0.0.1:0")
    made = kit.decision(
        reason=f"{REASON}\n{LIMIT}",
        classification="ScanThenBruteForceIncident",
        decided_us=running.operations.clock(),
    )
    incident, alerts = kit.evidence(made)
    incident = replace(incident, explanation=REASON, rule="ScanThenBruteForce")
    alerts = tuple(replace(a, classification="SynScan") for a in alerts)
    running.call(running.operations.decide(made, incident, alerts))
    for gateway in kit.GATEWAYS:
        refused = kit.report(made, gateway, "refused", running.operations.clock(), detail="why not")
        running.call(running.operations.report(refused))
    log_in(chromium, running.url)
    wait = WebDriverWait(chromium, LIMIT_S)
    wait.until(lambda _: texts(".rows .row"))
    meaning = "A source that scanned a host tries passwords on the same host."
    assert texts(".c-why small") == [meaning]
    assert texts(".rows .badge") == ["nowhere"]
    chromium.find_element(By.CSS_SELECTOR, ".rows .row").click()
    wait.until(lambda _: texts("#detail .facts"))
    (detail,) = texts("#detail")
    assert detail.count(LIMIT) == 1
    assert detail.count("then FtpBruteForce from") == 1
    assert texts("#detail .facts li") == REASON.splitlines()[1:]
    assert "SYN scan" in detail and "Syn scan" not in detail
    assert "refused, should be blocked" in detail


def made_by_the_ontology_agent():
    """Answers a wish for a file as the shipped knowledge gives it."""
    with KnowledgeBase([ontology_path(), *rule_paths()]) as knowledge:
        ntriples = knowledge.ntriples()

    async def answer(asker, performative, record):
        file = incident_file(incident_of(record), alerts_of(record), [], ntriples, ontology_path())
        return "inform", replace(record, fragment=packed(file), detail="1.0.0")

    return answer


def test_an_alert_shows_its_packet_and_offers_the_conversation(chromium, serve, kit, tmp_path):
    """In the block's explanation and on a page of its own; a hostile payload stays text."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    def texts(selector):
        found = chromium.find_elements(By.CSS_SELECTOR, selector)
        return [e.get_attribute("textContent") for e in found]

    running = serve("127.0.0.1:0")
    wait = WebDriverWait(chromium, LIMIT_S)
    with kept_evidence(tmp_path) as (alert, sensor):
        asked = []

        def hostile(record):
            asked.append(record.id)
            said, (found,) = sensor(record)
            return said, [replace(found, dissection=f"{found.dissection}\n{HOSTILE}")]

        running.link.sensor = hostile
        made = kit.decision(source="192.0.2.66", decided_us=running.operations.clock())
        incident, _ = kit.evidence(made)
        incident = replace(incident, alerts=(alert.id,))
        running.call(running.operations.decide(made, incident, (alert,)))
        log_in(chromium, running.url)
        wait.until(lambda _: texts(".rows .row"))
        chromium.find_element(By.CSS_SELECTOR, ".rows .row").click()
        wait.until(lambda _: texts("#detail .alert-item"))
        assert asked == []  # nobody wanted to see it yet
        chromium.find_element(By.CSS_SELECTOR, "#detail .alert-item summary").click()
        wait.until(lambda _: texts("#detail .dissection"))
        (dissection,) = texts("#detail .dissection")
        assert "###[ IP ]###" in dissection and HOSTILE in dissection
        (item,) = texts("#detail .alert-item")
        for part in ("urn:ontoidps:signature:1:1000001", "CVE-2021-41773", "Web Server", "Linux"):
            assert part in item
        link = chromium.find_element(By.CSS_SELECTOR, "#detail a.capture")
        assert link.get_attribute("href").endswith(f"/api/v1/alerts/{alert.id[9:]}/capture")
        got = chromium.execute_async_script(
            "fetch(arguments[0]).then((a) => a.arrayBuffer().then((b) => arguments[1]([a.status,"
            " a.headers.get('content-type'), [...new Uint8Array(b).slice(0, 4)], b.byteLength])))",
            link.get_attribute("href"),
        )
        assert got[:3] == [200, "application/vnd.tcpdump.pcap", [0xD4, 0xC3, 0xB2, 0xA1]]
        # The incident as a file for Protégé: what the ontology agent makes of it.
        running.link.ontology = made_by_the_ontology_agent()
        links = chromium.find_elements(By.CSS_SELECTOR, "#detail a.capture[download]")
        (link,) = [a for a in links if "/ontology/incidents/" in a.get_attribute("href")]
        status, kind, text = chromium.execute_async_script(
            "fetch(arguments[0]).then((a) => a.text().then((b) => arguments[1]([a.status,"
            " a.headers.get('content-type'), b])))",
            link.get_attribute("href"),
        )
        assert (status, kind) == (200, "application/rdf+xml"), text[:500]
        window = read_window(text.encode()).window
        assert window.alerts == 1 and f"<{alert.id}>".encode() in window.ntriples
        # Its own page, by its address.
        chromium.get(f"{running.url}/#/alert/{alert.id[9:]}")
        chromium.refresh()
        wait.until(lambda _: texts("dialog .dissection"))
        assert texts("dialog a.capture") and "own rule" in texts("dialog .sheet-body")[0]
        assert texts("dialog img, dialog script, #detail img, #detail script") == []
        assert chromium.title != "owned"
        assert set(asked) == {alert.id}


def words_of(name):
    """``SynScan`` as the page writes it."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name).lower().split()
    short = {"ack", "arp", "fin", "ftp", "http", "icmp", "sql", "ssh", "syn", "tcp", "udp"}
    text = " ".join(w.upper() if w in short else w for w in words)
    return text[0].upper() + text[1:]


def test_an_operator_renames_a_cluster(chromium, serve):
    """A refusal is shown in the dialog; a hostile name stays text; a change elsewhere is seen."""
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select, WebDriverWait

    running = serve("127.0.0.1:0")
    told = [
        OntologyChanged(id="urn:uuid:1", version="clusters+0", changed_us=1),
        *read_clusters(clusters_path()).clusters,
    ]

    async def ontology(asker, performative, wanted):
        if wanted.traffic_class == "AckScan":
            return "refuse", replace(wanted, detail=f"refused {HOSTILE}")
        return "inform", wanted

    async def begin():
        running.link.ontology = ontology
        running.link.console.on_clusters(told)

    def texts(selector):
        found = chromium.find_elements(By.CSS_SELECTOR, selector)
        try:
            return [e.get_attribute("textContent") for e in found]
        except StaleElementReferenceException:
            return []  # the table was drawn anew between the two

    def css(selector):
        return chromium.find_element(By.CSS_SELECTOR, selector)

    running.call(begin())
    log_in(chromium, running.url)
    wait = WebDriverWait(chromium, LIMIT_S)
    wait.until(lambda _: texts("#link") == ["live"])
    css("#clusters").click()
    wait.until(lambda _: len(texts(".clusters tbody tr")) == 25)
    cluster = told[19]
    seen = {
        "purity": f" {int(cluster.purity * 100 + 0.5)} %",
        "words": words_of(cluster.traffic_class),
    }
    assert texts("tr[data-number='18'] td")[:4] == [
        "18",
        "not named",
        seen["words"],
        seen["purity"],
    ]
    shots = os.environ.get("ONTOIDPS_SHOTS")
    if shots:
        chromium.save_screenshot(f"{shots}/clusters.png")

    css("tr[data-number='18'] button").click()
    wait.until(lambda _: texts("dialog select"))
    name = css("dialog input[name=name]")
    name.clear()
    name.send_keys(HOSTILE[:80])
    Select(css("dialog select")).select_by_value("AckScan")
    css("dialog input[name=reason]").send_keys("ticket 4711")
    if shots:
        chromium.save_screenshot(f"{shots}/rename.png")
    css("dialog .primary").click()
    wait.until(lambda _: texts("dialog .alert") == [f"refused {HOSTILE}"])
    Select(css("dialog select")).select_by_value("Normal")
    css("dialog form .alert ~ menu .primary").click()
    wait.until(lambda _: texts("tr[data-number='18'] b") == [HOSTILE[:80]])
    assert texts("tr[data-number='18'] td")[2] == "Normal"
    assert chromium.find_elements(By.CSS_SELECTOR, "dialog img, dialog script") == []
    if shots:
        chromium.save_screenshot(f"{shots}/renamed.png")

    async def elsewhere():
        running.link.console.on_clusters(
            [
                replace(told[0], changed_us=3),
                *(replace(c, cluster_name=f"n{c.cluster_number}") for c in told[1:]),
            ]
        )

    running.call(elsewhere())
    wait.until(lambda _: texts("tr[data-number='24'] b") == ["n24"])
    # The refusal is all that the browser itself had to say.
    (line,) = chromium.get_log("browser")
    assert "422" in line["message"]
    assert running.operations.ledger.audit_trail(limit=1)[0].what == "cluster renamed"


def test_an_operator_switches_a_rule_off(chromium, serve):
    """What the ontology agent has is shown, as text; the switch asks for a reason."""
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    running = serve("127.0.0.1:0")
    off = set()

    async def ontology(asker, performative, asked):
        if not isinstance(asked, Query):
            off.add(asked.fragment)
            return "inform", replace(asked, detail="1.0.0+abc")
        rule = {"label": HOSTILE, "comment": HOSTILE, "file": "correlation.owl"}
        rule |= {"enabled": "false", "by": "user:ana: x"} if off else {"enabled": "true"}
        row = {name: {"type": "literal", "value": text} for name, text in rule.items()}
        said = json.dumps({"head": {"vars": list(row)}, "results": {"bindings": [row]}})
        return "inform-ref", Answer(id="urn:uuid:a", query=asked.id, results=said)

    async def begin():
        running.link.ontology = ontology

    def texts(selector):
        found = chromium.find_elements(By.CSS_SELECTOR, selector)
        try:
            return [e.get_attribute("textContent") for e in found]
        except StaleElementReferenceException:
            return []  # the table was drawn anew between the two

    running.call(begin())
    log_in(chromium, running.url)
    wait = WebDriverWait(chromium, LIMIT_S)
    wait.until(lambda _: texts("#link") == ["live"])
    chromium.find_element(By.CSS_SELECTOR, "#rules").click()
    wait.until(lambda _: texts(".rules tbody button") == ["Switch off"])
    chromium.find_element(By.CSS_SELECTOR, ".rules tbody button").click()
    wait.until(lambda _: texts("dialog input[name=reason]"))
    chromium.find_element(By.CSS_SELECTOR, "dialog input[name=reason]").send_keys("too loud")
    chromium.find_element(By.CSS_SELECTOR, "dialog .danger").click()
    wait.until(lambda _: texts(".rules tbody button") == ["Switch on"])
    assert texts(".rules tbody td")[1] == "off, by hand" and off == {HOSTILE}
    assert chromium.find_elements(By.CSS_SELECTOR, "dialog img, dialog script") == []
    assert running.operations.ledger.audit_trail(limit=1)[0].what == "rule disabled"


def test_an_operator_approves_and_vetoes_what_waits(chromium, serve, kit, post):
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select, WebDriverWait

    running = serve("127.0.0.1:0")
    bans = running.operations.propagation.bans
    bans.modes = Modes({"gw3": "shadow"}, {"HoneypotBruteForceIncident": "approve"})
    for name in ("203.0.113.9", "203.0.113.10"):
        made = kit.decision(name, name, decided_us=running.operations.clock())
        running.call(running.operations.decide(made, *kit.evidence(made)))

    def texts(selector):
        try:
            found = chromium.find_elements(By.CSS_SELECTOR, selector)
            return [e.get_attribute("textContent") for e in found]
        except StaleElementReferenceException:
            return []

    def answer(reason, **chosen):
        wait.until(lambda _: texts("dialog[open] input[name=reason]"))
        for name, value in chosen.items():
            found = chromium.find_element(By.CSS_SELECTOR, f"dialog select[name={name}]")
            Select(found).select_by_value(value)
        chromium.find_element(By.CSS_SELECTOR, "dialog input[name=reason]").send_keys(reason)
        chromium.find_element(By.CSS_SELECTOR, "dialog button[type=submit]").click()

    log_in(chromium, running.url)
    wait = WebDriverWait(chromium, LIMIT_S)
    wait.until(lambda _: texts(".rows .badge") == ["waits for approval"] * 2)
    assert texts("#figures dd")[2] == "2"
    chromium.find_element(By.XPATH, "//b[text()='203.0.113.9']").click()
    wait.until(lambda _: "Approve" in "".join(texts("#detail .acts button")))
    chromium.find_element(By.CSS_SELECTOR, "#detail .acts .primary").click()
    answer("looked at it")
    wait.until(lambda _: sorted(texts(".rows .badge")) == ["spreading", "waits for approval"])
    assert [o.gateway for o in post.take()] == ["gw1", "gw2"]
    chromium.find_element(By.XPATH, "//b[text()='203.0.113.10']").click()
    wait.until(lambda _: "203.0.113.10" in texts("#detail h2"))
    chromium.find_element(By.XPATH, "//*[@id='detail']//button[text()='Veto']").click()
    answer("own scanner", grace="21600")
    wait.until(lambda _: texts("#figures dd")[2] == "0")
    vetoed = [(o.decision.action, o.decision.duration_s) for o in post.take()]
    assert set(vetoed) == {("unblock", 6 * 3600)}

    # What was approved ends earlier, then at once and without a grace time.
    body = chromium.find_element(By.CSS_SELECTOR, "body")
    chromium.find_element(By.XPATH, "//b[text()='203.0.113.9']").click()
    wait.until(lambda _: "Shorten" in "".join(texts("#detail .acts button")))
    body.send_keys("s")
    wait.until(lambda _: texts("dialog[open] select[name=seconds]"))
    half = chromium.find_element(By.CSS_SELECTOR, "dialog select[name=seconds]")
    took_off = int(half.get_attribute("value"))
    assert 400 <= took_off <= 450
    answer("only a scan")
    wait.until(lambda _: not texts("dialog[open]"))
    shorter = {o.decision.duration_s for o in post.take()}
    assert len(shorter) == 1 and 900 - took_off - LIMIT_S <= shorter.pop() <= 900 - took_off
    body.send_keys("l")
    wait.until(lambda _: texts("dialog[open] select[name=grace]"))
    usual = chromium.find_element(By.CSS_SELECTOR, "dialog select[name=grace]")
    assert usual.get_attribute("value") == "600"
    answer("enough", grace="0")
    wait.until(lambda _: not texts("dialog[open]"))
    lifted = [(o.decision.action, o.decision.duration_s) for o in post.take()]
    assert set(lifted) == {("unblock", 0)}
    said = running.operations.ledger.audit_trail(limit=4)
    reasons = ["enough", "only a scan", "own scanner", "looked at it"]
    assert [line.reason for line in said] == reasons


def test_the_message_monitor(chromium, serve, settings):
    """Hostile content stays text, filters filter, a click shows the whole message."""
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select, WebDriverWait

    keeper, sender = settings.jid("supervisor", "gw1"), settings.jid("ontology", "gw1")
    running = serve("127.0.0.1:0")
    with closing(MessageLog(log_folder(settings.state_dir, keeper), 1 << 20, Counter())) as log:
        for number in range(130):
            change = OntologyChanged(
                id=f"urn:uuid:{number}", version=HOSTILE, changed_us=0, detail=f"no. {number}"
            )
            message = AclMessage(
                performative="inform" if number % 10 else "request",
                sender=sender,
                receivers=(keeper,),
                content=encode([change]),
                protocol="fipa-subscribe",
                conversation_id=f"{HOSTILE}{number}",
            )
            at_us = running.operations.clock() - (130 - number) * 1_000_000
            log.add(message, "received", at_us, "-" if number % 40 else "stale")

    def texts(selector):
        try:
            found = chromium.find_elements(By.CSS_SELECTOR, selector)
            return [e.get_attribute("textContent") for e in found]
        except StaleElementReferenceException:
            return []

    def css(selector):
        return chromium.find_element(By.CSS_SELECTOR, selector)

    log_in(chromium, running.url)
    wait = WebDriverWait(chromium, LIMIT_S)
    wait.until(lambda _: texts("#link") == ["live"])
    css("body").send_keys("m")
    wait.until(lambda _: len(texts(".messages tbody tr")) == 100)
    css(".monitor-foot button:nth-of-type(2)").click()
    wait.until(lambda _: len(texts(".messages tbody tr")) == 130)
    if os.environ.get("ONTOIDPS_SHOTS"):
        chromium.save_screenshot(os.environ["ONTOIDPS_SHOTS"] + "/monitor.png")
    Select(css("dialog select[name=performative]")).select_by_value("request")
    wait.until(lambda _: len(texts(".messages tbody tr")) == 13)
    css("dialog input[name=refused]").click()
    wait.until(lambda _: len(texts(".messages tbody tr")) == 4)
    assert texts(".messages .chip.bad") == ["stale"] * 4
    css("dialog input[name=text]").send_keys("no. 120")
    wait.until(lambda _: len(texts(".messages tbody tr")) == 1)
    row = css(".messages tbody tr")
    row.send_keys(Keys.ENTER)
    wait.until(lambda _: texts(".whole pre"))
    (whole,) = texts(".whole pre")
    assert whole.startswith("(request") and "no. 120" in whole
    assert HOSTILE.split("onerror")[0] in whole
    css(".whole button").click()
    wait.until(lambda _: css("input[name=conversation]").get_attribute("value") == f"{HOSTILE}120")
    assert chromium.find_elements(By.CSS_SELECTOR, "dialog img, dialog script") == []
    for name in ("text", "conversation"):
        css(f"dialog input[name={name}]").clear()
    css("dialog input[name=refused]").click()
    Select(css("dialog select[name=performative]")).select_by_value("")
    wait.until(lambda _: len(texts(".messages tbody tr")) == 100)
    css(".messages tbody tr").click()
    wait.until(lambda _: "no. 129" in "".join(texts(".whole pre")))
    shots = os.environ.get("ONTOIDPS_SHOTS")
    for theme in ("light", "dark") if shots else ():
        chromium.execute_script(f"document.documentElement.dataset.theme = '{theme}'")
        chromium.save_screenshot(f"{shots}/messages-{theme}.png")
    assert chromium.title == "testnet · OntoIDPS"
    assert chromium.get_log("browser") == []


def test_the_address_says_what_is_open_and_back_leads_back(chromium, serve, kit):
    """One router: a selected block, the history and each sheet have an address of their own."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    def texts(selector):
        found = chromium.find_elements(By.CSS_SELECTOR, selector)
        return [e.get_attribute("textContent") for e in found]

    def until(condition, what):
        WebDriverWait(chromium, LIMIT_S).until(lambda _: condition(), what)

    def where():
        return chromium.current_url.partition("#")[2]

    running = serve("127.0.0.1:0")
    made = kit.decision(decided_us=running.operations.clock())
    entry = running.call(running.operations.decide(made, *kit.evidence(made))).entry
    short = entry.id.removeprefix("urn:uuid:")
    log_in(chromium, running.url)
    until(lambda: texts("#link") == ["live"], "the stream is live")
    until(lambda: len(texts(".rows .row")) == 1, "the block is there")
    body = chromium.find_element(By.CSS_SELECTOR, "body")
    body.send_keys("j")
    until(lambda: texts("#detail .facts"), "its explanation is shown")
    assert where() == f"/blocks/{short}"
    shots = os.environ.get("ONTOIDPS_SHOTS")
    for theme in ("light", "dark") if shots else ():
        chromium.execute_script(f"document.documentElement.dataset.theme = '{theme}'")
        chromium.save_screenshot(f"{shots}/blocks-{theme}.png")
    body.send_keys("c")
    until(lambda: texts("dialog.sheet h2") == ["Clusters"], "the clusters are open")
    assert where() == "/clusters"
    chromium.find_element(By.CSS_SELECTOR, "#agents")
    chromium.back()
    until(lambda: not texts("dialog.sheet"), "back closes the sheet")
    assert where() == f"/blocks/{short}"
    assert texts("#detail .facts"), "and leaves the block as it was"

    # An address can be opened, also one that names nothing.
    chromium.get(f"{running.url}/#/agents")
    chromium.refresh()
    until(lambda: len(texts("dialog.sheet tbody tr")) == 13, "the agents are open")
    if shots:
        chromium.save_screenshot(f"{shots}/agents.png")
    chromium.find_element(By.CSS_SELECTOR, "dialog.sheet").send_keys(Keys.ESCAPE)
    until(lambda: where() == "/blocks", "closing leads to the page")
    for nonsense in ("#/ended/none", "#/<img src=x>/%%%", "#nothing"):
        chromium.get(f"{running.url}/{nonsense}")
        chromium.refresh()
        until(lambda: texts("#link") == ["live"], "the page is alive")
    until(lambda: len(texts(".rows .row")) == 1, "what is unknown is the blocks")
    refused = [line for line in chromium.get_log("browser") if "404" not in line["message"]]
    assert refused == []


def test_a_silent_supervisor_is_told_though_the_console_answers(chromium, serve):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    def text(selector):
        return chromium.find_element(By.CSS_SELECTOR, selector).get_attribute("textContent")

    running = serve("127.0.0.1:0")
    hub = running.link.console.hub
    log_in(chromium, running.url)
    wait = WebDriverWait(chromium, LIMIT_S)
    wait.until(lambda _: text("#link") == "live")
    heard_us = running.operations.clock() - 30_000_000
    hub._heard = lambda: heard_us
    wait.until(lambda _: text("#link") == "no supervisor")
    assert text("#stale").startswith("The supervisor has not been heard since")
    if os.environ.get("ONTOIDPS_SHOTS"):
        chromium.save_screenshot(os.environ["ONTOIDPS_SHOTS"] + "/alone.png")
    hub._heard = running.operations.clock
    wait.until(lambda _: text("#link") == "live")
    assert chromium.find_element(By.CSS_SELECTOR, "#stale").is_displayed() is False


def test_what_does_not_work_and_what_nobody_knows_is_told(chromium, serve, kit, settings):
    """A gateway that can't look at its rules, a sensor without its interface, a loss; their end."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    def css(selector):
        return chromium.find_elements(By.CSS_SELECTOR, selector)

    def wait(condition, what):
        return WebDriverWait(chromium, 5, 0.05).until(lambda _: condition(), what)

    def texts(selector):
        return [e.get_attribute("textContent") for e in css(selector)]

    running = serve("127.0.0.1:0")
    now = running.operations.clock()
    made = kit.decision(decided_us=now)
    incident, alerts = kit.evidence(made)
    held = {(role, node): Conditions(lambda: now) for role, node in settings.agents()}

    def register():
        for (role, node), conditions in held.items():
            one = kit.describe(settings, role, node)
            one = replace(one, conditions=as_text(conditions.current()))
            running.call(running.operations.register(one, settings.jid(role, node)))

    register()
    running.call(running.operations.decide(made, incident, alerts))
    for gateway in kit.GATEWAYS:
        running.call(running.operations.report(kit.report(made, gateway, at_us=now)))
    log_in(chromium, running.url)
    WebDriverWait(chromium, LIMIT_S).until(lambda _: texts("#link") == ["live"])
    wait(lambda: len(css(".rows .chip.good")) == 3 and texts(".rows .badge") == ["blocked"], "well")
    assert not css("#conditions")[0].is_displayed()

    held["reaction", "gw2"].fault("firewall", f"nobody knows what the kernel drops: {HOSTILE}")
    held["sensor", "gw1"].fault("capture.wan0", "captures nothing: no interface wan0")
    held["sensor", "gw3"].fault("loss.x", "wan0: packets lost", level="warning", lost=12345)
    held["analyzer", "gw3"].fault("behind", "falls behind: messages wait too long", seconds=8)
    register()
    wait(lambda: texts(".rows .badge") == ["in doubt"], "the block is in doubt")
    assert [c.get_attribute("textContent") for c in css(".rows .chip.warn")] == ["? gw2 unknown"]
    assert "said active, but nobody knows" in css(".rows .chip.warn")[0].get_attribute("title")
    lines = texts("#conditions li")
    assert lines[0] == "gw1 sensor captures nothing: no interface wan0"
    assert HOSTILE in " ".join(lines) and lines[-1] == "and 1 more condition: see the agents"
    assert len(css("#agents .dot.warn")) == 3
    figures = dict(zip(texts("#figures dt"), texts("#figures dd"), strict=True))
    assert (figures["Not known everywhere"], figures["Gateways up"]) == ("1", "2 / 3")
    css("#filter")[0].send_keys("192.0.2.9")
    wait(lambda: "No block of 192.0.2.9 here" in "".join(texts(".empty")), "what is not known")
    assert "Not known: gw2" in "".join(texts(".empty"))
    if os.environ.get("ONTOIDPS_SHOTS"):
        chromium.save_screenshot(os.environ["ONTOIDPS_SHOTS"] + "/conditions-filter.png")
    css("#filter")[0].clear()
    css("#filter")[0].send_keys("203")
    wait(lambda: css(".rows .row"), "the block again")
    if os.environ.get("ONTOIDPS_SHOTS"):
        chromium.save_screenshot(os.environ["ONTOIDPS_SHOTS"] + "/conditions.png")
    css(".rows .row")[0].click()
    wait(lambda: any("not known, it said blocked" in t for t in texts(".where li")), "the detail")
    css("#agents")[0].click()
    wait(lambda: len(css("td.how li")) == 4, "the agents with their conditions")
    assert any("wan0: packets lost (12,345 lost) since" in t for t in texts("td.how li.warn"))
    if os.environ.get("ONTOIDPS_SHOTS"):
        chromium.save_screenshot(os.environ["ONTOIDPS_SHOTS"] + "/conditions-agents.png")
    for conditions in held.values():
        conditions.keep("", ())
    register()
    wait(lambda: texts(".rows .badge") == ["blocked"], "all is well again")
    assert not css("#conditions li") and not css("td.how li")
    assert chromium.title != "owned"
