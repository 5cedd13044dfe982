"""NSL-KDD (Tavallaee et al. 2009): KDD Cup 99 without its repetitions, with a difficulty column.

``KDDTrain+`` and ``KDDTest+`` in their ``.txt`` form: 41 features, the attack's name without a
dot, and how many of 21 learners got the record right. The latter is no feature and is not used.
"""

from __future__ import annotations

from pathlib import Path

from datasets.kdd.kdd99 import FEATURES, KddRecords, parse


def read_nsl_kdd(path: Path) -> KddRecords:
    """Read an NSL-KDD file, with or without the difficulty column.

    Raises:
        KddError: a line is not 41 features and a known label, or the file is empty or damaged.
        OSError: the file can't be read.
    """
    return parse(path, columns=(len(FEATURES) + 1, len(FEATURES) + 2))
