from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from agents.settings.honeynet import Settings
from agents.trust.identity import (
    IdentityError,
    ensure_keys,
    export_node,
    import_bundle,
    keys_directory,
    load_identity,
)

SENSOR = "sensor.gw1@honeynet.test"


def test_files_are_private(honeynet: Settings) -> None:
    directory = keys_directory(honeynet)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(honeynet.state_dir.stat().st_mode) == 0o700
    private = [p for p in directory.iterdir() if p.suffix in (".key", ".password")]
    assert len(private) == 2 * 10 + 1  # ten agents, and the CA
    assert {stat.S_IMODE(p.stat().st_mode) for p in private} == {0o600}


def test_ensuring_twice_changes_nothing(honeynet: Settings) -> None:
    before = {p.name: p.read_bytes() for p in keys_directory(honeynet).iterdir()}
    ensure_keys(honeynet)
    assert {p.name: p.read_bytes() for p in keys_directory(honeynet).iterdir()} == before


def test_bundle_for_another_host(honeynet: Settings, tmp_path: Path) -> None:
    written = export_node(honeynet, "gw2", tmp_path / "bundle")
    names = {path.name for path in written}
    assert {"keyring.json", "ca.crt", "reaction.gw2@honeynet.test.key"} <= names
    assert not any("gw1" in name for name in names) and "ca.key" not in names
    other = honeynet.model_copy(update={"state_dir": tmp_path / "other"})
    import_bundle(other, tmp_path / "bundle")
    ensure_keys(other, "gw2")
    assert (
        load_identity(other, "reaction", "gw2").peer
        == load_identity(honeynet, "reaction", "gw2").peer
    )
    with pytest.raises(IdentityError, match=r"reaction\.gw1"):
        load_identity(other, "reaction", "gw1")


def test_another_host_without_bundle_is_told(bare_honeynet: Settings) -> None:
    with pytest.raises(IdentityError, match=r"on node 'gw1': .*--node gw2 --out .*--import BUNDLE"):
        ensure_keys(bare_honeynet, "gw2")


def test_bundle_host_makes_no_keys_of_its_own(honeynet: Settings, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    export_node(honeynet, "gw2", tmp_path / "other" / "keys")
    ring = tmp_path / "other" / "keys" / "keyring.json"
    entries = json.loads(ring.read_text())
    del entries[SENSOR]
    ring.write_text(json.dumps(entries))
    with pytest.raises(IdentityError, match="new bundle"):
        ensure_keys(honeynet.model_copy(update={"state_dir": tmp_path / "other"}), "gw2")


@pytest.mark.parametrize("text", ["", "[]", '{"a@b": {}}', '{"a@b": {"key": "AAAA"}}', "\x00"])
def test_broken_keyring_is_one_line(honeynet: Settings, text: str) -> None:
    (keys_directory(honeynet) / "keyring.json").write_text(text)
    with pytest.raises(IdentityError, match=r"keyring\.json") as caught:
        load_identity(honeynet, "sensor", "gw1")
    assert "\n" not in str(caught.value)


def test_a_bundle_never_replaces_the_makers_keys(honeynet: Settings, tmp_path: Path) -> None:
    export_node(honeynet, "gw2", tmp_path / "bundle")
    before = {p.name: p.read_bytes() for p in keys_directory(honeynet).iterdir()}
    with pytest.raises(IdentityError, match="this host made the honeynet's keys itself"):
        import_bundle(honeynet, tmp_path / "bundle")
    assert {p.name: p.read_bytes() for p in keys_directory(honeynet).iterdir()} == before


def test_a_bundle_with_a_hole_is_not_taken(honeynet: Settings, tmp_path: Path) -> None:
    export_node(honeynet, "gw2", tmp_path / "bundle")
    other = honeynet.model_copy(update={"state_dir": tmp_path / "other"})
    (tmp_path / "bundle" / "sensor.gw2@honeynet.test.password").unlink()
    with pytest.raises(IdentityError, match=r"sensor\.gw2@honeynet\.test\.password: No such file"):
        import_bundle(other, tmp_path / "bundle")
    assert not (keys_directory(other) / "keyring.json").exists()


def test_a_bundle_of_another_honeynet_is_not_taken(honeynet: Settings, tmp_path: Path) -> None:
    export_node(honeynet, "gw2", tmp_path / "bundle")
    stranger = honeynet.model_copy(update={"domain": "other.test", "state_dir": tmp_path / "o"})
    with pytest.raises(IdentityError, match="no bundle of this honeynet"):
        import_bundle(stranger, tmp_path / "bundle")


def test_a_bundle_is_not_written_over_another(honeynet: Settings, tmp_path: Path) -> None:
    export_node(honeynet, "gw2", tmp_path / "bundle")
    with pytest.raises(IdentityError, match="is there already"):
        export_node(honeynet, "gw1", tmp_path / "bundle")


def test_the_ca_of_a_server_of_ones_own_comes_with_the_bundle(
    honeynet: Settings, tmp_path: Path
) -> None:
    (tmp_path / "own-ca.crt").write_text("CA")
    xmpp = honeynet.xmpp.model_copy(update={"embedded": False, "ca": tmp_path / "own-ca.crt"})
    maker = honeynet.model_copy(update={"xmpp": xmpp})
    export_node(maker, "gw2", tmp_path / "bundle")
    (tmp_path / "own-ca.crt").unlink()  # the other host never had it
    other = maker.model_copy(update={"state_dir": tmp_path / "other"})
    assert import_bundle(other, tmp_path / "bundle") == ("gw2",)
    assert load_identity(other, "sensor", "gw2").ca.read_text() == "CA"


def test_a_folder_without_a_keyring_is_no_bundle(honeynet: Settings, tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match=r"no bundle: there is no keyring\.json in it"):
        import_bundle(honeynet, tmp_path)
