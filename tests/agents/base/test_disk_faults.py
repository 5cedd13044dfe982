"""What is wrong with a disk, in few words."""

import errno

import pytest

from agents.base.disk_faults import Untold, fault_of
from agents.base.store_files import is_damage, is_disk_fault, words_for


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, "x"), "full"),
        (OSError(errno.EDQUOT, "x"), "full"),
        (OSError(errno.EROFS, "x"), "read-only"),
        (OSError(errno.EMFILE, "x"), "Too many open files"),
    ],
)
def test_what_the_system_says(error: OSError, text: str) -> None:
    assert fault_of(error) == text and words_for(error) == text
    assert is_disk_fault(error) and not is_damage(error)


def test_nobody_can_be_told() -> None:
    Untold().fault("a", "b")
    Untold().clear("a")
