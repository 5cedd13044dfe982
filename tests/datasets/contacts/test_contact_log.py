from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from datasets.contacts.contact_log import (
    ContactReader,
    address_of,
    port_of,
    protocol_of,
    time_of,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("3221225991", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:DB8::1", "2001:db8::1"),
        ("4294967296", None),
        ("192.0.2.256", None),
        ("", None),
        ("\u0663", None),
    ],
)
def test_addresses_in_one_form(text: str, address: str | None) -> None:
    assert address_of(text) == address


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2013-03-03 21:53:59", 1362347639),
        ("2013-03-03T21:53:59Z", 1362347639),
        ("2013-03-03T22:53:59+01:00", 1362347639),
        ("1362347639", 1362347639),
        ("1362347639.25", 1362347639.25),
        ("2013-03-03", 1362268800),
    ],
)
def test_times_in_any_form(text: str, seconds: float) -> None:
    assert time_of(text) == seconds * 1_000_000


def test_a_time_without_a_zone_is_of_the_one_that_is_said() -> None:
    assert time_of("2013-03-03 22:53:59", ZoneInfo("Europe/Berlin")) == 1362347639 * 1_000_000


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2013-13-03 21:53:59", "2013-03-03 21:53:99", "9" * 30, "-5", "1e9"]
)
def test_no_times(text: str) -> None:
    with pytest.raises(ValueError, match=r"^time$"):
        time_of(text)


def test_ports_and_protocols() -> None:
    assert (port_of(""), port_of(" 22 "), port_of("65535")) == (-1, 22, 65535)
    for text in ("65536", "-1", "ssh", "1" * 9):
        with pytest.raises(ValueError, match=r"^port$"):
            port_of(text)
    assert (protocol_of(""), protocol_of("TCP"), protocol_of("17")) == (-1, 6, 17)
    for text in ("256", "tcpx"):
        with pytest.raises(ValueError, match=r"^protocol$"):
            protocol_of(text)


def test_contacts_come_in_the_order_of_time_and_can_be_cut() -> None:
    reader = ContactReader()
    for at, source in ((30, "192.0.2.1"), (10, "192.0.2.2"), (20, "3221225985")):
        reader.add(at, source, "gw", 22, 6)
    log = reader.finish()
    assert log.time_us.tolist() == [10, 20, 30]
    assert [log.sources[i] for i in log.source] == ["192.0.2.2", "192.0.2.1", "192.0.2.1"]
    assert log.between(20, None).time_us.tolist() == [20, 30]
    assert log.between(None, 20).time_us.tolist() == [10]


def test_nothing_at_all_is_said_with_the_reasons() -> None:
    reader = ContactReader()
    for source, gateway in (("nobody", "gw"), ("192.0.2.1", "")):
        with pytest.raises(ValueError) as caught:
            reader.add(1, source, gateway)
        reader.refuse(str(caught.value), "x.csv:7")
    with pytest.raises(ValueError, match=r"1 source, 1 sensor; first refused: x.csv:7: source"):
        reader.finish()
