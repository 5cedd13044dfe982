"""Names of services: as in the files of KDD Cup 99."""

import numpy as np
import pytest

from datasets.kdd.services import ICMP_TYPES, SERVICES, TCP_PORTS, UDP_PORTS, service_codes
from tests.factories import make_connection


def service(protocol: int, source: int, target: int) -> str:
    row = make_connection(protocol=protocol, src_port=source, dst_port=target)
    return SERVICES[int(service_codes(row)[0])]


@pytest.mark.parametrize(
    ("protocol", "source", "target", "name"),
    [
        (6, 40000, 80, "http"),
        (6, 40000, 443, "http_443"),
        (6, 20, 40000, "ftp_data"),
        (17, 40000, 53, "domain_u"),
        (6, 40000, 53, "domain"),
        (6, 40000, 1, "private"),
        (17, 40000, 161, "private"),
        (6, 40000, 50000, "private"),
        (6, 40000, 3306, "other"),
        (1, 8, 0, "eco_i"),
        (1, 0, 0, "ecr_i"),
        (1, 3, 3, "urp_i"),
        (1, 3, 1, "urh_i"),
        (1, 40, 0, "icmp"),
        (58, 128, 0, "eco_i"),
        (58, 1, 4, "urp_i"),
    ],
)
def test_names(protocol: int, source: int, target: int, name: str) -> None:
    assert service(protocol, source, target) == name


def test_no_port_has_two_names() -> None:
    assert len(SERVICES) == len(set(SERVICES))
    for names in (TCP_PORTS, UDP_PORTS, ICMP_TYPES):
        ports = [port for some in names.values() for port in some]
        assert len(ports) == len(set(ports))


def test_a_whole_table_at_once() -> None:
    rows = np.concatenate([make_connection(dst_port=port) for port in (80, 22, 9)])
    assert [SERVICES[code] for code in service_codes(rows)] == ["http", "ssh", "discard"]
