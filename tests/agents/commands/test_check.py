"""`ontoidps check`: what is good, what warns, and what the one judge says of an address."""

from pathlib import Path

import pytest

from agents.main import main
from agents.settings.honeynet import Settings

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("203.0.113.9", "may be blocked"),
        ("192.0.2.7", "never blocked: 192.0.2.7 is on the allow-list"),
        ("64:ff9b::c000:207", "is the NAT64 form of 192.0.2.7"),
        ("169.254.1.1", "never blocked: 169.254.1.1 is"),
        ("255.255.255.255", "never blocked: 255.255.255.255 is"),
    ],
)
def test_the_judge_is_asked_about_an_address(
    bare_honeynet: Settings, honeynet_file: Path, capsys: Capture, address: str, said: str
) -> None:
    with honeynet_file.open("a") as file:
        file.write('[policy]\nallow = ["::ffff:192.0.2.0/120"]\n')
    assert main(["check", str(honeynet_file), "--address", address]) == 0
    assert said in capsys.readouterr().out


def test_what_is_no_address_is_refused(honeynet_file: Path, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["check", str(honeynet_file), "--address", "here"])
    assert ended.value.code == 2
    assert "'here' is not an IP address" in capsys.readouterr().err
