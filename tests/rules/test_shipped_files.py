"""The shipped files: there, and each in its list."""

from pathlib import Path

from rules import shipped_files
from rules.shipped_files import (
    models_path,
    paper_rules_path,
    rule_paths,
    sample_paths,
    scenario_samples_path,
    shipped_models,
)

FOLDER = Path(shipped_files.__file__).parent


def test_every_rule_file_of_the_folder_is_in_one_list() -> None:
    listed = {*rule_paths(), paper_rules_path(), models_path()}
    assert listed == set(FOLDER.glob("*.owl"))
    assert all(path.is_file() for path in (*sample_paths(), scenario_samples_path()))


def test_the_models_are_made_once() -> None:
    assert shipped_models() is shipped_models()
