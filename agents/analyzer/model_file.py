"""Models on disk: arrays in .npz, never pickles; whatever else a file holds is refused."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ontology.whole_files import write_whole

Arrays = Mapping[str, NDArray[Any]]
Made = TypeVar("Made")


class ModelError(ValueError):
    """The file is not a model that this version can use; the message is one line."""


def read_model(path: Path, what: str, make: Callable[[Arrays], Made]) -> Made:
    """``make`` of the arrays in ``path``; ``what`` it should be is said when it isn't.

    Raises: ModelError: no such file, no .npz without pickles, or ``make`` refuses the arrays.
    """
    try:
        # Opened here: np.load leaves a file that it can't read open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return make({name: archive[name] for name in archive.files})
    except OSError as e:
        raise ModelError(f"{path}: {e.strerror or e}") from e
    except (
        *(ValueError, KeyError, TypeError, EOFError, IndexError, AttributeError),
        *(zipfile.BadZipFile, zlib.error, NotImplementedError, MemoryError),
    ) as e:
        reason = " ".join(str(e).split())
        raise ModelError(f"{path}: not an OntoIDPS {what}: {reason}") from e


def write_model(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write ``path`` whole or not at all: a reader never sees half a file."""
    data = io.BytesIO()
    np.savez_compressed(data, allow_pickle=False, **arrays)
    write_whole(path, data.getvalue())
