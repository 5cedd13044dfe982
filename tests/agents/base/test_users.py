"""Which ids agents get, and why they may get none; who becomes them is in test_confinement."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from agents.base import privileges, users
from agents.base.users import Users, closed_folders
from agents.settings.honeynet import Settings


def at(honeynet: Settings, place: str) -> Users:
    return Users.of(honeynet.model_copy(update={"state_dir": Path(place)}))


def test_they_follow_from_the_place_of_the_state_alone(bare_honeynet: Settings) -> None:
    one, other = at(bare_honeynet, "/srv/one/state"), at(bare_honeynet, "/srv/other/state")
    assert one == at(bare_honeynet, "/srv/x/../one/state") != other
    for own in (one, other):
        assert 1_879_048_192 <= own.first and own.readers < 2_147_352_575
        assert own.first % 4096 == 1_879_048_192 % 4096


def test_two_honeynets_of_one_host_hardly_ever_share_one(bare_honeynet: Settings) -> None:
    blocks = {at(bare_honeynet, f"/srv/honeynet{n}/state").first for n in range(100)}
    assert len(blocks) >= 99


def test_the_file_may_name_them(bare_honeynet: Settings) -> None:
    own = Users.of(bare_honeynet.model_copy(update={"users_from": 60_800}))
    assert own.first == 60_800
    ids = [own.of_agent(bare_honeynet, *agent) for agent in bare_honeynet.agents()]
    assert ids == list(range(60_801, 60_801 + len(ids)))
    for wrong in (0, 999, 1 << 31):
        with pytest.raises(ValidationError, match="users_from"):
            Settings.model_validate(bare_honeynet.model_dump() | {"users_from": wrong})


def test_an_agent_that_the_file_does_not_know_has_none(bare_honeynet: Settings) -> None:
    with pytest.raises(ValueError, match="not in list"):
        Users.of(bare_honeynet).of_agent(bare_honeynet, "console", "gw2")


def test_peers_are_who_we_are_unless_we_are_the_one_of_our_own(
    bare_honeynet: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    jid, own = bare_honeynet.jid, Users.of(bare_honeynet)
    assert users.of_peers(bare_honeynet, "sensor", "gw2") == dict.fromkeys(
        (jid("sensor", "gw2"), jid("analyzer", "gw2"), jid("reaction", "gw2")), os.geteuid()
    )
    ours = own.of_agent(bare_honeynet, "sensor", "gw2")
    monkeypatch.setattr(os, "geteuid", lambda: ours)
    found = users.of_peers(bare_honeynet, "sensor", "gw2")
    assert len({*found.values()}) == 3
    assert found[jid("analyzer", "gw2")] == own.of_agent(bare_honeynet, "analyzer", "gw2")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has other users to give")
def test_a_root_that_may_not_change_users_says_so(
    bare_honeynet: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert users.why_shared(bare_honeynet) is None
    monkeypatch.setattr(privileges, "held", lambda: 1 << privileges.NET_ADMIN)
    assert users.why_shared(bare_honeynet) == "this root may not change users"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has other users to give")
def test_without_mounts_a_closed_folder_is_named(
    bare_honeynet: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    held = privileges.held()
    monkeypatch.setattr(privileges, "held", lambda: held & ~(1 << 21))
    why = users.why_shared(bare_honeynet)
    assert why is not None and why.endswith("can't be entered by other users (chmod o+x)")
    assert closed_folders([bare_honeynet.state_dir])


@pytest.mark.parametrize(
    ("mode", "whom", "may"),
    [
        (0o700, (5, 6), False),
        (0o701, (5, 6), True),
        (0o710, (5, 6), False),
        (0o710, (5, 6, os.getegid()), True),
        (0o701, (5, 6, os.getegid()), False),
        (0o700, (os.geteuid(), 6), True),
        (0o677, (os.geteuid(), 6), False),
    ],
)
def test_who_may_enter_a_folder(
    tmp_path: Path, mode: int, whom: tuple[int, ...], may: bool
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(mode)
    assert users.may_enter(folder, whom) is may


def test_the_first_closed_folder_of_each_way(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    deep = tmp_path / "closed" / "open" / "closed too" / "file"
    deep.parent.mkdir(parents=True)
    deep.touch()
    for name, mode in (
        ("closed", 0o700),
        ("closed/open", 0o755),
        ("closed/open/closed too", 0o700),
    ):
        (tmp_path / name).chmod(mode)
    (tmp_path / "link").symlink_to(tmp_path / "closed")
    above = closed_folders([tmp_path / "x"])
    wanted = above or [tmp_path / "closed"]
    assert closed_folders([deep]) == wanted
    assert closed_folders([deep, tmp_path / "link" / "open" / "x"]) == wanted
    assert closed_folders([Path("/usr/bin/env"), tmp_path / "none" / "x"]) == above
