"""Which rules an operator has switched on or off: kept beside what is in force, by label.

The installed files may be another user's, or those of the next release: a switch must outlast both.
It is laid over the files, so what agents get says it in the annotation that the files use.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ontology.whole_files import write_whole

logger = logging.getLogger(__name__)

MAX_SWITCHES = 1000
_FILE = "switches.json"
_MAX_BYTES = 1024 * 1024
_MAX_TEXT = 600


@dataclass(frozen=True, slots=True)
class Switch:
    """What an operator wants of one rule."""

    on: bool
    why: str
    """``user:NAME: reason``."""
    changed_us: int


class Switches:
    """The file of switches. Blocks for file work; for one thread at a time.

    Args:
        folder: where it stands; made if absent.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self.by_label: Mapping[str, Switch] = self._read()

    def wanted(self) -> dict[str, bool]:
        """On or off, by the label of the rule."""
        return {label: switch.on for label, switch in self.by_label.items()}

    def after(self, label: str, switch: Switch) -> dict[str, Switch]:
        """All switches with one more, which is then the newest.

        Raises: ValueError if there are too many.
        """
        rest = {name: old for name, old in self.by_label.items() if name != label}
        if len(rest) >= MAX_SWITCHES:
            raise ValueError(f"{MAX_SWITCHES} rules are switched by hand already")
        return {**rest, label: switch}

    def keep(self, switches: Mapping[str, Switch]) -> None:
        """Write them, and go by them from now on. Raises: OSError"""
        text = json.dumps({name: asdict(switch) for name, switch in switches.items()}, indent=1)
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(self._path, text.encode())
        self.by_label = switches

    def _read(self) -> dict[str, Switch]:
        """Nothing, with an error in the log, if the file is damaged."""
        try:
            with self._path.open("rb") as file:
                data = file.read(_MAX_BYTES)
            return {label[:_MAX_TEXT]: _switch(**said) for label, said in json.loads(data).items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as e:
            logger.error("no rule is switched by hand, %s is unreadable: %s", self._path, e)
            return {}


def _switch(on: bool, why: str, changed_us: int) -> Switch:
    if not (isinstance(on, bool) and isinstance(why, str) and isinstance(changed_us, int)):
        raise ValueError("a value is of the wrong type")
    return Switch(on, why[:_MAX_TEXT], changed_us)
