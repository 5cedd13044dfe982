"""``ontoidps rules export|import``: attack models as text, and back to OWL."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from agents.commands.replay import printable
from ontology.whole_files import write_whole
from rules.scenarios.attack_models import MAX_FILE_BYTES, ModelError, read_models
from rules.scenarios.compile import compile_models
from rules.scenarios.model_text import models_text, parse_model_text
from rules.shipped_files import models_path

WORDS = ("export", "import")


def add_arguments(words: Any) -> None:
    """Adds the words to the parser's sub-commands."""
    exporter = words.add_parser("export", help="attack models as text")
    exporter.add_argument(
        "file", nargs="?", type=Path, metavar="OWL", help="default: the installed attacks.owl"
    )
    importer = words.add_parser("import", help="attack models from text to OWL")
    importer.add_argument("file", type=Path, metavar="TEXT", help="as export writes it")
    for word in (exporter, importer):
        word.add_argument("--out", type=Path, metavar="FILE", help="default: standard output")


def run(arguments: argparse.Namespace) -> int:
    """0; 1 if the models have slips, told one a line. Raises: OSError."""
    try:
        if arguments.word == "export":
            text = models_text(read_models(arguments.file or models_path()))
        else:
            models, text = parse_model_text(_text(arguments.file), str(arguments.file))
            try:
                compile_models(models)
            except ModelError as e:
                slips = str(e).splitlines()
                raise ModelError("\n".join(f"{arguments.file}: {s}" for s in slips)) from e
    except ModelError as e:
        for line in str(e).splitlines():
            print(f"ontoidps rules: {printable(line)}", file=sys.stderr)
        return 1
    if arguments.out is not None:
        write_whole(arguments.out, text.encode("utf-8"))
    else:
        print("\n".join(map(printable, text.splitlines())))
    return 0


def _text(path: Path) -> str:
    with path.open("rb") as stream:
        data = stream.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ModelError(f"{path}: larger than {MAX_FILE_BYTES} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise ModelError(f"{path}: not UTF-8: {e.reason} at byte {e.start}") from e
