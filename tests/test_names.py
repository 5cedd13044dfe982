"""Names: two modules are called the same only where they are the same thing in two rooms."""

from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("agents", "datasets", "ontology", "rules")

# Names that several modules bear, and why a stranger expects the same of each. Every other name
# belongs to one module. Commands (``agents/commands``) are called by the word that is typed.
SAME_THING = {
    "agent.py": "the shell of each agent: `BaseAgent` and what derives from it",
    "core.py": "what an agent does without its shell: records in, records out",
    "store.py": "the SQLite file of one agent",
    "client.py": "the end that asks, of a process that answers: the console, Pellet",
    "nsl_kdd.py": "the data set NSL-KDD: its files, and the evaluation on it",
    "intake.py": "what comes in, checked and freed of repeats before it is worked on",
    "clusters.py": "names of clusters: the ontology agent keeps them, the console shows them",
}


def shared_names() -> dict[str, list[str]]:
    """Base names of two modules or more, with the modules."""
    found: dict[str, list[str]] = defaultdict(list)
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            place = path.relative_to(ROOT)
            if path.name != "__init__.py" and "commands" not in place.parts:
                found[path.name].append(str(place))
    return {name: places for name, places in found.items() if len(places) > 1}


def test_a_name_belongs_to_one_module() -> None:
    assert {n: places for n, places in shared_names().items() if n not in SAME_THING} == {}


def test_no_exception_outlives_its_reason() -> None:
    assert set(SAME_THING) - set(shared_names()) == set()
