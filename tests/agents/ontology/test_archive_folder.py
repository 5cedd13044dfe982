"""The archive's folder: what its errors mean, and what is left behind by many starts."""

from pathlib import Path

import pytest

from agents.base.disk_faults import Untold
from agents.ontology.archive_folder import fault_in, folder_bytes, open_folder


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("IO error: No space left on device: While appending", "full"),
        ("IO error: While open a file: LOG: Read-only file system", "read-only"),
        ("IO error: something  else\nhappened", "IO error: something else happened"),
    ],
)
def test_what_the_store_says(text: str, said: str) -> None:
    assert fault_in(OSError(text)) == said


def test_logs_of_earlier_starts_go(tmp_path: Path) -> None:
    for _ in range(12):
        open_folder(tmp_path / "a", Untold())
    assert len(list((tmp_path / "a").glob("LOG*"))) <= 3
    assert folder_bytes(tmp_path / "a") > 0


def test_what_cant_be_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(OSError):
        open_folder(tmp_path / "a", Untold())
