"""Credentials on disk."""

from __future__ import annotations

import json

import pytest

from agents.console.sessions import (
    MAX_SESSIONS,
    Sessions,
    Users,
    UsersError,
    open_credentials,
)


def test_the_first_start_makes_an_operator_whose_password_works(tmp_path):
    made = open_credentials(tmp_path)
    assert made.first_start
    password = made.password_file.read_text().strip()
    assert made.users.check("operator", password) == "operator"
    assert made.users.check("operator", password + "x") is None
    assert made.users.check("nobody", password) is None
    for path in (made.password_file, tmp_path / "console-token", tmp_path / "console/users.json"):
        shared = path.name == "users.json"  # its folder's group is the console's or nobody's
        assert path.stat().st_mode & 0o777 == (0o640 if shared else 0o600)
        assert path.parent.stat().st_mode & 0o007 == 0 or not shared
        assert shared or len(path.read_text().strip()) >= 16
    assert password not in (tmp_path / "console/users.json").read_text()
    again = open_credentials(tmp_path)
    assert not again.first_start
    assert again.token == made.token
    assert again.users.check("operator", password) == "operator"


def test_two_installations_share_no_secret(tmp_path):
    one, two = open_credentials(tmp_path / "a"), open_credentials(tmp_path / "b")
    assert one.token != two.token
    assert one.password_file.read_text() != two.password_file.read_text()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"users": {"x": {}}}', "\x00"])
def test_a_broken_users_file_lets_nobody_in(tmp_path, text):
    path = tmp_path / "users.json"
    path.write_text(text)
    users = Users(path)
    with pytest.raises(UsersError, match=r"users\.json"):
        users.check("operator", "x")
    with pytest.raises(UsersError):
        users.role("operator")


def test_a_removed_user_is_gone_at_once(tmp_path):
    users = Users(tmp_path / "users.json")
    users.set("ana", "pw", "viewer")
    users.set("bob", "pw", "operator")
    content = json.loads((tmp_path / "users.json").read_text())
    del content["users"]["ana"]
    (tmp_path / "users.json").write_text(json.dumps(content))
    assert users.role("ana") is None
    assert users.role("bob") == "operator"


def test_a_short_token_is_refused(tmp_path):
    open_credentials(tmp_path)
    (tmp_path / "console-token").write_text("\n")
    with pytest.raises(UsersError, match="too short"):
        open_credentials(tmp_path)


def test_sessions_are_bounded():
    sessions = Sessions()
    cookies = [sessions.create("ana", "viewer", i)[0] for i in range(MAX_SESSIONS + 1)]
    assert sessions.get(cookies[0], 0, touch=False) is None
    assert sessions.get(cookies[-1], 0, touch=False) is not None
    assert len(set(cookies)) == len(cookies)
