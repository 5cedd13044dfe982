from __future__ import annotations

import os
import stat

from agents.console.operator_socket import (
    bind_operator_socket,
    console_node,
    operator_socket,
    operators,
)


def test_it_is_for_its_owner_and_replaces_what_was_left(settings):
    node = console_node(settings)
    path = operator_socket(settings, node)
    bind_operator_socket(settings, node).close()
    with bind_operator_socket(settings, node):
        status = path.stat()
        assert stat.S_ISSOCK(status.st_mode) and status.st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o007 == 0


def test_who_may_ask(settings):
    assert (
        {0, os.geteuid()}
        <= operators(settings)
        <= {
            0,
            os.geteuid(),
            settings.state_dir.stat().st_uid,
        }
    )


def test_a_honeynet_may_have_no_console(settings):
    bare = [node.model_copy(update={"agents": ("sensor",)}) for node in settings.node]
    assert console_node(settings.model_copy(update={"node": tuple(bare)})) is None
