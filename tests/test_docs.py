"""What the documents name exists."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from agents.main import COMMANDS
from agents.settings.honeynet import Analysis, Console, Input, Node, Policy, Settings, Xmpp
from agents.settings.host_sections import Honeypot, NodeHost
from agents.settings.manager_sections import Manager
from agents.settings.source_sections import KnownSources

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PLACE = re.compile(
    r"`((?:agents|datasets|ontology|rules|docs|deploy|benchmarks|tests)/[\w./*-]*|[\w-]+\.(?:md|txt))`"
)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_place_that_is_named_exists(page: Path) -> None:
    named = PLACE.findall(page.read_text(encoding="utf-8"))
    assert [name for name in named if not list(ROOT.glob(name.rstrip("/")))] == []


def test_every_command_that_is_named_exists() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert set(re.findall(r"\bontoidps ([a-z-]+)\b(?=[ `…])", text)) <= set(COMMANDS)


@pytest.mark.parametrize(
    "part",
    [
        *(Settings, Xmpp, Console, Policy, Analysis, Node, NodeHost, Honeypot, Input),
        *(KnownSources, Manager),
    ],
)
def test_the_example_holds_every_key(part: type[BaseModel]) -> None:
    text = (ROOT / "deploy" / "honeynet.example.toml").read_text(encoding="utf-8")
    keys = set(re.findall(r"(?:^|[{#,] *)(\w+) = ", text, re.MULTILINE))
    keys |= set(re.findall(r"^\[+(\w+)\]", text, re.MULTILINE))
    assert set(part.model_fields) <= keys


def test_every_page_is_in_the_list() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")}
    assert pages <= set(re.findall(r"`docs/([\w-]+\.md)`", readme))


def test_decisions_are_numbered_without_a_gap() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [int(page.name[:4]) for page in pages]
    assert numbers == list(range(1, len(pages) + 1))
    for number, page in zip(numbers, pages, strict=True):
        assert page.read_text(encoding="utf-8").startswith(f"# {number}. ")
