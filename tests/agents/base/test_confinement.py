"""What hostile code inside an agent's process can do: shown by processes that try it."""

from __future__ import annotations

import itertools
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.base import AgentContext, confinement, users
from agents.base.local import listen_on, socket_path
from agents.base.message_log import log_folder
from agents.base.users import Users
from agents.console.sessions import open_credentials
from agents.settings.honeynet import Settings, load_settings
from ontology import landlock
from ontology.records import Role

ROOT = Path(__file__).parents[3]
needs_landlock = pytest.mark.skipif(not landlock.supported(), reason="the kernel has no Landlock")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has other users to give")
DENIED, FORBIDDEN = "Permission denied", "Operation not permitted"
ABSENT = "No such file or directory"
ROLES: tuple[Role, ...] = (
    *("sensor", "analyzer", "correlation", "ontology", "supervisor", "console", "reaction"),
)
ALONE = ("--user", "--map-root-user", "--mount", "--net")
"""Of unshare(1): a user namespace with one user, as an ordinary user's demo has."""


_PROCESSES: dict[bool, subprocess.Popen[str]] = {}
"""Those whose forks try, with several users or one; they end with the tests."""


def _confined_agents(one_user: bool) -> subprocess.Popen[str]:
    return _PROCESSES.get(one_user) or _PROCESSES.setdefault(
        one_user,
        subprocess.Popen(
            [
                *(("unshare", *ALONE) if one_user else ()),
                *(sys.executable, "-m", "tests.agents.base.confined_agent"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        ),
    )


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    yield
    for process in _PROCESSES.values():
        process.communicate()
        assert process.returncode == 0
    _PROCESSES.clear()


def tried(
    honeynet_file: Path, role: Role, *tries: tuple[str, object], one_user: bool = False
) -> list[str]:
    """What became of each try in a process that has entered as ``role``."""
    process = _confined_agents(one_user)
    request = {
        "file": str(honeynet_file),
        "role": role,
        "tries": [[what, str(x) if isinstance(x, Path) else x] for what, x in tries],
    }
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    done = json.loads(process.stdout.readline())
    assert done["status"] == 0, done["errors"]
    assert "keep their rights" not in done["errors"]
    found = done["became"]
    assert isinstance(found, list)
    return found


both = pytest.mark.parametrize("one_user", [False, True], ids=["own user", "one user"])
every = pytest.mark.parametrize("role", ROLES)


@pytest.fixture(autouse=True)
def _possible(request: pytest.FixtureRequest) -> None:
    parameters = getattr(request.node, "callspec", None)
    if parameters is not None and parameters.params.get("one_user"):
        trial = subprocess.run(["unshare", *ALONE, "true"], capture_output=True, check=False)
        if trial.returncode:
            pytest.skip("no user namespaces here")


@pytest.fixture
def sleeper() -> Iterator[int]:
    """Another process of the user that the launcher has."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def filled(honeynet: Settings, honeynet_file: Path) -> Settings:
    """A honeynet whose other agents have left things behind."""
    for role in ("supervisor", "ontology", "sensor", "analyzer", "correlation", "reaction"):
        folder = honeynet.state_dir / honeynet.jids(role)[0]  # type: ignore[arg-type]
        folder.mkdir(parents=True)
        for name in ("ledger.sqlite3", "mail.sqlite3"):
            (folder / name).write_text("not for the page")
    open_credentials(honeynet.state_dir)
    log = log_folder(honeynet.state_dir, honeynet.jids("supervisor")[0])
    log.mkdir(parents=True)
    (log / "messages.fipa").write_text("a message")
    return honeynet


def others(honeynet: Settings, role: Role) -> tuple[str, str]:
    """Bare JIDs of two other agents."""
    found = [honeynet.jid(r, "gw1") for r in ROLES if r != role]
    return found[0], found[-1]


@needs_landlock
@both
@every
def test_no_agent_reads_or_changes_what_is_anothers(
    filled: Settings, honeynet_file: Path, role: Role, one_user: bool
) -> None:
    keys, state = filled.state_dir / "keys", filled.state_dir
    for other in others(filled, role):
        for path in (keys / f"{other}.key", keys / f"{other}.password"):
            assert path.read_bytes()
        folder = state / other
        folder.mkdir(exist_ok=True)
        ledger = folder / "ledger.sqlite3"
        ledger.write_text("not for the others")
        found = tried(
            honeynet_file,
            role,
            ("read", keys / f"{other}.key"),
            ("read", keys / f"{other}.password"),
            ("read in a thread", keys / f"{other}.key"),
            ("write", keys / f"{other}.key"),
            ("remove", keys / f"{other}.key"),
            ("read", keys / "ca.key"),
            ("write", keys / "keyring.json"),
            ("list", keys),
            ("read", ledger),
            ("write", ledger),
            ("remove", ledger),
            ("list", folder),
            ("list", state),
            ("write", state / "new"),
            ("read", state / "console-token"),
            ("read", state / "console-password"),
            ("write", state / "console" / "users.json"),
            ("read", Path("/etc/shadow")),
            ("write", Path("/tmp/ontoidps-hostile")),  # noqa: S108  it can't
            ("write", ROOT / "agents" / "new.py"),
            ("write", Path("/proc/sys/kernel/core_pattern")),
            one_user=one_user,
        )
        assert found == [DENIED] * len(found)
        assert ledger.read_text() == "not for the others"


@both
@pytest.mark.parametrize("role", ["sensor", "ontology"])
def test_nor_does_a_program_that_it_starts(
    filled: Settings, honeynet_file: Path, role: Role, one_user: bool
) -> None:
    key = filled.state_dir / "keys" / f"{others(filled, role)[0]}.key"
    (child,) = tried(honeynet_file, role, ("read in a child", key), one_user=one_user)
    assert child.endswith(DENIED)


@both
@every
def test_no_agent_takes_over_another_process_or_the_system(
    honeynet: Settings, honeynet_file: Path, role: Role, one_user: bool, sleeper: int
) -> None:
    pid = sleeper
    found = tried(
        honeynet_file,
        role,
        ("trace", pid),
        ("read memory of", pid),
        ("take a descriptor of", pid),
        ("enter a namespace", 0x10000000),
        ("enter a namespace", 0x00020000),
        ("enter a namespace", 0x40000000),
        ("become", 0),
        *([("kill", pid)] if landlock.supported() >= 6 or not one_user else []),
        one_user=one_user,
    )
    # User 0 of a namespace may stay what it is.
    if one_user:
        assert found.pop(6) == "done"
    assert found == [FORBIDDEN] * len(found)
    assert Path(f"/proc/{pid}").exists()


@both
@every
def test_only_reaction_writes_rules_and_nobody_sees_raw_packets(
    honeynet: Settings, honeynet_file: Path, role: Role, one_user: bool
) -> None:
    """The table isn't there, so that who may write rules is told just that."""
    raw = [("socket", [17, 3, 0]), ("socket", [2, 3, 1]), ("socket", [10, 3, 58])]
    strange = [("socket", [family, 5, 0]) for family in (38, 40, 44)]  # AF_ALG, AF_VSOCK, AF_XDP
    found = tried(
        honeynet_file, role, *raw, *strange, ("firewall", "ontoidps-absent"), one_user=one_user
    )
    told = ABSENT if role == "reaction" else FORBIDDEN
    assert found[:6] == [FORBIDDEN] * 6
    assert found[6].endswith(told)


@every
def test_who_starts_no_programs_may_not(
    honeynet: Settings, honeynet_file: Path, role: Role
) -> None:
    starts = role in ("sensor", "correlation", "ontology", "reaction")
    found = tried(honeynet_file, role, ("execute", Path("/usr/bin/true")))
    assert found == ["done" if starts else FORBIDDEN]


@needs_landlock
@both
def test_it_takes_no_other_agents_place_on_the_links_of_its_node(
    honeynet: Settings, honeynet_file: Path, one_user: bool
) -> None:
    """Who removes the analyzer's socket and listens in its place gets what the sensor sends."""
    other, own = (socket_path(honeynet, role, "gw1") for role in ("analyzer", "console"))
    with listen_on(other):
        found = tried(
            honeynet_file,
            "console",
            ("remove", other),
            ("listen at", other.with_name("other.sock")),
            ("listen at", other.parents[1] / "other.sock"),
            ("listen at", own),
            ("remove", own),
            one_user=one_user,
        )
    assert found == [DENIED] * 3 + ["done"] * 2


@both
@every
def test_what_it_needs_is_within_reach(
    filled: Settings, honeynet_file: Path, role: Role, one_user: bool
) -> None:
    own = filled.jid(role, "gw1")
    keys = filled.state_dir / "keys"
    found = tried(
        honeynet_file,
        role,
        ("read", keys / f"{own}.key"),
        ("read", keys / f"{own}.password"),
        ("read", keys / "keyring.json"),
        ("store", filled.state_dir / own / "try.sqlite3"),
        ("write", log_folder(filled.state_dir, own) / "messages.fipa"),
        ("listen at", socket_path(filled, role, "gw1")),
        ("import", "wsgiref.handlers"),
        ("import", "agents.evaluation.report"),
        ("socket", [1, 1, 0]),
        ("socket", [2, 1, 0]),
        ("socket", [16, 3, 0]),
        one_user=one_user,
    )
    assert found == ["done"] * len(found)


@both
def test_the_console_reads_messages_and_who_may_log_in(
    filled: Settings, honeynet_file: Path, one_user: bool
) -> None:
    supervisor = filled.jids("supervisor")[0]
    log = log_folder(filled.state_dir, supervisor) / "messages.fipa"
    if not one_user and os.geteuid() == 0:  # as the supervisor's own start makes it
        confinement._take_over(log.parent, 12345, Users.of(filled).readers, 0o2750)
        log.chmod(0o640)
    found = tried(
        honeynet_file,
        "console",
        ("read", filled.state_dir / "console" / "users.json"),
        ("read", log),
        one_user=one_user,
    )
    assert found == ["done"] * 2
    assert tried(honeynet_file, "analyzer", ("read", log), one_user=one_user) == [DENIED]


@needs_landlock
@pytest.mark.skipif(landlock.supported() < 6, reason="the kernel's Landlock knows no signals")
@pytest.mark.parametrize("role", ["console", "analyzer", "sensor", "reaction"])
def test_it_reaches_no_other_port(honeynet: Settings, honeynet_file: Path, role: Role) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        socket.create_server(("127.0.0.1", honeynet.xmpp.port)),
    ):
        found = tried(
            honeynet_file,
            role,
            ("connect", other.getsockname()[1]),
            ("listen", 0),
            ("connect", honeynet.xmpp.port),
        )
    assert found == [DENIED, DENIED, "done"]


def test_without_landlock_it_says_so_and_goes_on(honeynet: Settings, honeynet_file: Path) -> None:
    """The kernel's answer when it has none (ENOSYS, EOPNOTSUPP) is below zero."""
    code = (
        "import sys, logging; logging.basicConfig(level=logging.INFO)\n"
        "from pathlib import Path\n"
        "from agents.base import AgentContext\n"
        "from agents.base.confinement import Needs, enter\n"
        "from agents.settings.honeynet import load_settings\n"
        "from ontology import landlock\n"
        "landlock._call = lambda *_: -1\n"
        "settings = load_settings(Path(sys.argv[1]))\n"
        "enter(AgentContext(settings=settings, role='analyzer', node='gw1'), Needs())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(honeynet_file)],
        capture_output=True, text=True, cwd=ROOT, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "this kernel has no Landlock" in done.stderr and "Landlock missing" in done.stderr


# --- owners ---------------------------------------------------------------------------------------


@as_root
def test_each_agent_owns_its_files_and_no_other_and_old_files_are_taken_over(
    filled: Settings, honeynet_file: Path
) -> None:
    own = Users.of(filled)
    old = filled.state_dir / filled.jid("analyzer", "gw1") / "deep" / "old.sqlite3"
    old.parent.mkdir(parents=True)
    old.write_text("kept")
    for role in ROLES:
        assert tried(honeynet_file, role, ("list", filled.state_dir / filled.jid(role, "gw1")))
    seen = {}
    for role in ROLES:
        jid = filled.jid(role, "gw1")
        user = own.of_agent(filled, role, "gw1")
        seen[role] = user
        for path, mode in (
            (filled.state_dir / jid, 0o700),
            (filled.state_dir / "keys" / f"{jid}.key", 0o400),
            (filled.state_dir / "keys" / f"{jid}.password", 0o400),
            (log_folder(filled.state_dir, jid), 0o2750),
            (socket_path(filled, role, "gw1").parent, 0o2710),
        ):
            found = path.stat()
            assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (user, mode), path
    assert len({*seen.values()}) == len(ROLES) and 0 not in seen.values()
    assert old.stat().st_uid == seen["analyzer"] and old.read_text() == "kept"
    for name, mode in ((".", 0o710), ("keys", 0o710), ("run", 0o710), ("keys/ca.key", 0o600)):
        path = filled.state_dir / name
        if path.exists():
            assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (0, mode), path


@as_root
@pytest.mark.parametrize("kind", ["symbolic", "hard", "folder"])
def test_a_link_in_its_folder_gives_an_agent_nobody_elses_file(
    filled: Settings, honeynet_file: Path, tmp_path: Path, kind: str
) -> None:
    """Left there by a hostile agent before the folder changed hands."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("root's")
    folder = filled.state_dir / filled.jid("analyzer", "gw1")
    folder.mkdir(exist_ok=True)
    if kind == "symbolic":
        (folder / "link").symlink_to(victim / "file")
    elif kind == "hard":
        (folder / "link").hardlink_to(victim / "file")
    else:
        (folder / "link").symlink_to(victim, target_is_directory=True)
    (folder / "own").write_text("its own")
    tried(honeynet_file, "analyzer", ("list", folder))
    assert (victim / "file").stat().st_uid == 0 and victim.stat().st_uid == 0
    assert (folder / "own").stat().st_uid == Users.of(filled).of_agent(filled, "analyzer", "gw1")


@as_root
def test_a_folder_that_is_a_link_is_refused(filled: Settings, honeynet_file: Path) -> None:
    folder = filled.state_dir / filled.jid("analyzer", "gw2")
    folder.symlink_to("/etc", target_is_directory=True)
    confinement._make_folders(AgentContext(settings=filled, role="reaction", node="gw2"))
    context = AgentContext(settings=filled, role="analyzer", node="gw2")
    with pytest.raises(OSError, match=r"analyzer\.gw2"):
        confinement._give_away(Users.of(filled), context, confinement.Needs())
    assert Path("/etc").stat().st_uid == 0


@as_root
@pytest.mark.parametrize("mode", [0o640, 0o600, 0o644])
def test_a_sensor_reads_logs_that_their_group_may_read(
    honeynet: Settings, honeynet_file: Path, tmp_path: Path, mode: int
) -> None:
    folder = tmp_path / "suricata"
    folder.mkdir(mode=0o755)
    log = folder / "eve.json"
    log.write_text("{}")
    os.chown(log, 0, 4)  # adm
    log.chmod(mode)
    text = honeynet_file.read_text().replace(
        'interfaces = ["lo"]\n[[node]]',
        f'interfaces = ["lo"]\n[[node.inputs]]\nkind = "eve"\npath = "{log}"\n[[node]]',
        1,
    )
    honeynet_file.write_text(text)
    assert load_settings(honeynet_file).node[0].inputs
    assert tried(honeynet_file, "sensor", ("read", log), ("write", log)) == [
        DENIED if mode == 0o600 else "done",
        DENIED,
    ]
    assert tried(honeynet_file, "analyzer", ("read", log))[0] in (DENIED, ABSENT)


def test_an_ordinary_user_has_no_other_to_give(
    honeynet: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert users.why_shared(honeynet) == "only root can give agents users of their own"


def test_every_pair_of_roles_has_other_ids(honeynet: Settings) -> None:
    own = Users.of(honeynet)
    ids = [own.of_agent(honeynet, *agent) for agent in honeynet.agents()]
    ids += [own.group, own.readers, own.opener]
    assert all(one != other for one, other in itertools.combinations(ids, 2))


@as_root
def test_a_closed_folder_of_logs_keeps_a_sensor_from_what_comes_later_and_from_nothing_else(
    honeynet: Settings, honeynet_file: Path, tmp_path: Path
) -> None:
    """The folder of honeynet.toml, in which also the state lies."""
    tmp_path.chmod(0o700)
    for name in ("here.json", "local.rules"):
        (tmp_path / name).write_text("{}")
        (tmp_path / name).chmod(0o644)
    inputs = "".join(
        f'[[node.inputs]]\nkind = "eve"\npath = "{name}"\n' for name in ("here.json", "later.json")
    )
    text = honeynet_file.read_text()
    text = text.replace('[[node]]\nname = "gw2"', f'{inputs}[[node]]\nname = "gw2"')
    honeynet_file.write_text(text)
    own = honeynet.state_dir / honeynet.jid("sensor", "gw1")
    assert tried(
        honeynet_file,
        "sensor",
        ("read", tmp_path / "here.json"),
        ("store", own / "try.sqlite3"),
        ("read", tmp_path / "later.json"),
    ) == ["done", "done", ABSENT]
    tmp_path.chmod(0o755)
    (tmp_path / "later.json").write_text("{}")
    assert tried(honeynet_file, "sensor", ("read", tmp_path / "later.json")) == ["done"]
