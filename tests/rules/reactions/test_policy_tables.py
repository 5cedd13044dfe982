"""The tables that people edit: slips are named, exceptions win."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rules.reactions.policy_tables import (
    ASSETS,
    ATTACKS,
    EXCEPTIONS,
    SERVICES,
    TableError,
    expand,
    read_tables,
)
from rules.shipped_files import models_path

TABLES = (ATTACKS, SERVICES, ASSETS, EXCEPTIONS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in TABLES:
        shutil.copy(models_path().parent / name, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("table", "row", "said"),
    [
        (ATTACKS, "Hug\t*\tblock\t1\tD3-ITF\treason\t-", "attack 'Hug' is no class under Attack"),
        (ATTACKS, "ScanX", "7 values with one tab between are needed, there are 1"),
        (ATTACKS, "Scan\tnone\tblock\t1\tD3-ITF\treason\t-", "attack 'Scan' has a row already"),
        (EXCEPTIONS, "Scan\tsssh\t*\tblock\t1\tD3-ITF\tr\t-", "service 'sssh' is in no row"),
        (EXCEPTIONS, "Scan\tssh\t*\tnuke\t1\tD3-ITF\tr\t-", "response must be one of block"),
        (EXCEPTIONS, "Scan\tssh\t*\tblock\t-1\tD3-ITF\tr\t-", "factor must lie in [0, 100]"),
        (EXCEPTIONS, "Scan\tssh\t*\tblock\tNaN\tD3-ITF\tr\t-", "factor must lie in [0, 100]"),
        (EXCEPTIONS, "Scan\tssh\t*\tobserve\t1\tD3-ITF\tr\t-", "observe needs 0"),
        (EXCEPTIONS, "Scan\tssh\t*\tblock\t1\tITF\tr\t-", "d3fend must look like D3-ITF"),
        (SERVICES, "web\t80/sctp\t1\treason", "ports must be like 53/udp, got '80/sctp'"),
        (SERVICES, "web\t70000/tcp\t1\treason", "ports must be like 53/udp"),
        (ASSETS, "pot\tPot\t0\t1\treason", "role 'Pot' is no class under Host"),
        (ASSETS, "pot\tHoneypot\t9\t1\treason", "value must lie in 0 to 5, got '9'"),
    ],
)
def test_a_slip_is_told_with_file_line_and_reason(
    folder: Path, table: str, row: str, said: str
) -> None:
    path = folder / table
    number = len(path.read_text().splitlines()) + 1
    path.write_text(path.read_text() + row + "\n")
    with pytest.raises(TableError) as caught:
        read_tables(folder)
    assert any(
        line.startswith(f"{path}:{number}: ") and said in line
        for line in str(caught.value).splitlines()
    ), caught.value


def test_a_table_that_is_no_text_is_named(folder: Path) -> None:
    path = folder / SERVICES
    path.write_bytes(path.read_bytes() + b"\xff\n")
    with pytest.raises(TableError, match=r"reaction_services\.tsv: not UTF-8 text"):
        read_tables(folder)


@pytest.mark.parametrize("service", ["*", "ssh"])
def test_an_exception_counts_for_a_class_that_has_no_row(folder: Path, service: str) -> None:
    """ConfigurationAbuse has none: else it answers like Exploit, service by service."""
    path = folder / EXCEPTIONS
    path.write_text(
        path.read_text() + f"ConfigurationAbuse\t{service}\thoneypot\tblock\t9\tD3-ITF\tr\t-\n"
    )
    made = {(r.attack, r.service, r.asset): r.response for r in expand(read_tables(folder))}
    above = "Exploit"
    services = {s for c, s, _ in made if c == above}
    for asset in {a for c, _, a in made if c == above}:
        for one in services:
            response = made["ConfigurationAbuse", one, asset]
            if asset == "honeypot" and service in ("*", one):
                assert response.factor == 9
            else:
                assert response == made[above, one, asset]
