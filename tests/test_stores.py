"""Every module that writes files of an agent's state stands in the table of bounds, each with a
test."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WRITES = re.compile(
    r"open_store\(|write_whole\(|os\.replace\(|O_CREAT|\.open\(\"[wax]|\.write_text\(|\.write_bytes\("
    r"|\bStore\(path|TemporaryDirectory\(|mkdtemp\("
)
NO_STATE = ("agents/commands", "agents/demo", "agents/evaluation", "agents/offline")
"""The command line, which writes what it is asked to."""
OTHERS = {
    "agents/base/storage.py": "what the stores are made of",
    "agents/base/store_damage.py": "what the stores are made of",
    "agents/base/store_files.py": "what the stores are made of",
    "agents/base/state_folder.py": "an empty file, locked",
    "agents/console/sessions.py": "users, by the command line; the first password",
    "agents/knowledge/sources.py": "a copy in a scratch folder, which ends with the check",
    "agents/launcher/launcher.py": "the state of the node, replaced each second; locks",
    "agents/launcher/priority.py": "the kernel's file",
    "agents/launcher/xmpp_server.py": "configuration and accounts, made anew at each start",
    "agents/ontology/query.py": "a snapshot in a scratch folder, which ends with the question",
    "agents/trust/identity.py": "keys",
    "agents/trust/pki.py": "keys",
}


def writers() -> list[str]:
    found = []
    for path in sorted((ROOT / "agents").rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if not name.startswith(NO_STATE) and WRITES.search(path.read_text(encoding="utf-8")):
            found.append(name)
    return found


def table() -> dict[str, list[str]]:
    """Rows by module."""
    text = (ROOT / "docs" / "attacks-on-us.md").read_text(encoding="utf-8")
    rows: dict[str, list[str]] = {}
    for line in text.split("## What is kept on disk")[1].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 7 and cells[1].startswith("`"):
            rows.setdefault(cells[1].strip("`"), []).append(line)
    return rows


def test_every_store_stands_in_the_table_and_nothing_else() -> None:
    stores = [name for name in writers() if name not in OTHERS]
    assert sorted(table()) == stores


def test_no_exception_is_listed_that_writes_nothing() -> None:
    assert sorted(set(OTHERS) - set(writers())) == []


@pytest.mark.parametrize("module", sorted(table()))
def test_each_store_has_a_bound_and_a_test(module: str) -> None:
    for line in table()[module]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[2] or cells[3], "a bound in rows or bytes"
        assert cells[4], "what happens beyond it"
        assert (ROOT / cells[6].strip("`")).is_file()


def test_every_file_of_sqlite_is_opened_within_limits() -> None:
    for name in writers():
        text = (ROOT / name).read_text(encoding="utf-8")
        for call in re.findall(r"(?<!def )open_store\((.*?)\)\n", text, flags=re.DOTALL):
            assert "limits=" in call, name


def test_sqlite_is_used_by_way_of_storage_only() -> None:
    direct = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "agents").rglob("*.py")
        if "sqlite3.connect(" in path.read_text(encoding="utf-8")
    ]
    parts = ("storage.py", "store_damage.py", "store_files.py")
    assert sorted(direct) == [f"agents/base/{part}" for part in parts]
