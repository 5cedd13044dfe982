"""What honeynet.toml says of managers of others."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.idmef.foreign_reports import Origin
from agents.settings.honeynet import SettingsError, load_settings

HONEYNET = """
[[node]]
name = "gw1"
agents = ["sensor", "analyzer", "supervisor", "ontology", "correlation", "reaction", "console"]
inputs = [{ kind = "idmef", path = "/var/log/prelude.xml", manager = "site-b" }]
[[manager]]
name = "site-b"
key_file = "site-b.key"
trust = 0.7
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "honeynet.toml"
    path.write_text(text)
    return path


def test_a_manager_and_its_input(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, HONEYNET))
    (manager,) = settings.manager
    assert manager.key_file == tmp_path / "site-b.key"
    assert settings.manager_of(settings.node[0].inputs[0]) == Origin(
        name="site-b", trust=0.7, verified=False
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("trust = 0.7", "trust = 1.7", "manager.trust: "),
        ("trust = 0.7", "alerts_per_minute = 10", "manager.alerts_per_minute: "),
        ("trust = 0.7", 'verified = "yes"', "manager.verified: "),
        ('manager = "site-b"', 'manager = "site-c"', "there is no manager 'site-c'"),
        ('kind = "idmef"', 'kind = "eve"', "manager says whose alerts an input of kind idmef"),
        ("trust = 0.7", '[[manager]]\nname = "site-b"', "two managers are named 'site-b'"),
    ],
)
def test_what_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(write(tmp_path, HONEYNET.replace(old, new)))
    assert said in str(caught.value)
