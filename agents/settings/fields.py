"""What single values of ``honeynet.toml`` may be; `agents.settings.honeynet` puts them together."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from ontology.host_profile import check_host_text, check_vulnerability

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_DURATION = re.compile(r"(\d+)(s|m|h|d)")
_DOMAIN = re.compile(r"(?=.{1,251}$)[a-z0-9-]+(\.[a-z0-9-]+)*")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
# dev_valid_name() of the kernel: at most 15 bytes, no slash, no colon, no space.
_INTERFACE = re.compile(r"[!-.0-9;-~]{1,15}")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Part(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def parse_duration(text: str) -> int:
    """Seconds in ``90s``, ``15m``, ``1h`` or ``7d``. Raises: ValueError."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a duration like 90s, 15m, 1h or 7d")
    return int(match[1]) * _SECONDS[match[2]]


def duration_text(seconds: int) -> str:
    """``seconds`` as `parse_duration` reads it, in the largest unit that fits whole: ``7d``."""
    for unit in ("d", "h", "m"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{seconds // _SECONDS[unit]}{unit}"
    return f"{seconds}s"


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _host_name(value: object) -> object:
    if isinstance(value, str) and not (_HOST.fullmatch(value) and re.search("[A-Za-z]", value)):
        raise ValueError(f"{value!r} is not a host name; addresses and networks belong into allow")
    return value


def _name(value: object) -> object:
    if isinstance(value, str) and not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not a name of 1 to 32 letters a-z, digits and hyphens")
    return value


def _domain(value: object) -> object:
    if isinstance(value, str) and not _DOMAIN.fullmatch(value):
        raise ValueError("not a domain of letters a-z, digits, hyphens and single dots")
    return value


def _host(value: object) -> object:
    """An address or a host name; it is also written into the server's configuration."""
    if not isinstance(value, str):
        return value
    try:
        address = ip_address(value)
    except ValueError:
        if not _HOST.fullmatch(value):
            raise ValueError("not an IP address or host name") from None
        return value
    if address.is_unspecified:
        raise ValueError("no agent can connect to it; name the address where all reach the server")
    return value


def _listen(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.startswith("unix:"):
        if not value.startswith("unix:/"):
            raise ValueError("unix:PATH needs an absolute path")
        return value
    host, mark, port = value.rpartition(":")
    try:
        address = ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    except ValueError:
        address = None
    if not mark or address is None or not port.isdecimal() or int(port) > 65535:
        raise ValueError("neither HOST:PORT (with an IP address) nor unix:PATH")
    if not address.is_loopback:
        raise ValueError(
            "not a loopback address; the console has no TLS, use unix:PATH and a reverse proxy"
        )
    return value


def _network(value: object) -> object:
    """One clear reason instead of one for each of four types."""
    if not isinstance(value, str):
        return value
    try:
        network = ip_network(value)
    except ValueError as e:
        if "host bits" in str(e):
            whole = ip_network(value, strict=False)
            raise ValueError(f"{e}: is {whole} meant, or the address alone?") from e
        raise ValueError(_no_address(value, "an address or a network like 192.0.2.0/24")) from e
    if isinstance(network, IPv6Network) and network.network_address.scope_id is not None:
        raise ValueError(f"{value!r} has a scope id, which no packet carries")
    return network


def _address(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        address = ip_address(value)
    except ValueError as e:
        if "/" in value and _is_network(value):
            plain = value.partition("/")[0]
            raise ValueError(
                f"{value!r} is a network; a plain address is wanted, like {plain!r}"
            ) from e
        raise ValueError(_no_address(value, "a plain address like 192.0.2.7")) from e
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ValueError(f"{value!r} has a scope id, which no packet carries")
    return address


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _no_address(text: str, wanted: str) -> str:
    if _HOST.fullmatch(text) and re.search("[A-Za-z]", text) and ":" not in text:
        return f"{text!r} is a host name, and they don't work here: name its address"
    return f"{text!r} is not {wanted}"


def _interface(value: object) -> object:
    if isinstance(value, str) and (not _INTERFACE.fullmatch(value) or value in (".", "..")):
        raise ValueError("not the name of a network interface")
    return value


def _vulnerability(value: str) -> str:
    check_vulnerability(value)
    return value


def _host_text(value: str) -> str:
    check_host_text(value)
    return value


Flag = Annotated[bool, Field(strict=True)]
"""``true`` or ``false``: a number or a word for it is a mistake."""
Whole = Annotated[int, Field(strict=True)]
Seconds = Annotated[Whole, BeforeValidator(_duration), Field(gt=0, le=366 * 86400)]
Name = Annotated[str, BeforeValidator(_name)]
HostAddress = Annotated[IPv4Address | IPv6Address, BeforeValidator(_address)]
AllowedNetwork = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
Port = Annotated[Whole, Field(ge=1, le=65535)]
Priority = Annotated[Whole, Field(ge=0, le=5)]
Grade = Annotated[Whole, Field(ge=0, le=5)]
Vulnerability = Annotated[str, AfterValidator(_vulnerability)]
HostText = Annotated[str, AfterValidator(_host_text)]
Domain = Annotated[str, BeforeValidator(_domain)]
Host = Annotated[str, BeforeValidator(_host)]
HostName = Annotated[str, BeforeValidator(_host_name)]
Listen = Annotated[str, BeforeValidator(_listen)]
Interface = Annotated[str, BeforeValidator(_interface)]
