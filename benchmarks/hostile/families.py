"""Families of payloads: what each reader reads, written to be as dear as its author could think of.

`hostile.search` starts from them and looks for worse.
"""

from __future__ import annotations

from dataclasses import dataclass

from hostile.wire import SEGMENT, Way

_END = b" HTTP/1.1\r\nHost: a\r\n\r\n"
_WEB = Way(80)


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of payload to one reader."""

    name: str
    way: Way
    seeds: tuple[bytes, ...]
    tokens: tuple[bytes, ...] = ()
    """What mutations are made of, besides what the seeds hold."""
    fixed: int = 0
    """First bytes that choose the reader, and stay."""


def fill(head: bytes, unit: bytes, tail: bytes = b"") -> bytes:
    """``head``, then ``unit`` over and over, then ``tail``: one full segment."""
    room = SEGMENT - len(head) - len(tail)
    return head + (unit * (room // len(unit) + 1))[:room] + tail


def _get(name: str, *units: bytes) -> Family:
    seeds = tuple(fill(b"GET /", unit, _END) for unit in units)
    return Family(f"web: {name}", _WEB, seeds, units, 5)


def _form(name: str, *units: bytes) -> Family:
    seeds = tuple(fill(b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", unit) for unit in units)
    return Family(f"web: {name}", _WEB, seeds, units, 28)


def _lines(name: str, port: int, *units: bytes, by_server: bool = False) -> Family:
    seeds = tuple(fill(b"", unit, b"\n") for unit in units)
    return Family(name, Way(port, by_server), seeds, units)


FAMILIES: tuple[Family, ...] = (
    Family("nothing: a port that nobody reads", Way(9_999), (bytes(SEGMENT),)),
    Family("nothing: plain requests", _WEB, (b"GET /a/b.html?c=d" + _END,), fixed=SEGMENT),
    Family(
        "nothing: answers",
        Way(80, by_server=True),
        (fill(b"HTTP/1.1 200 OK\r\n\r\n", b"x"),),
        (),
        19,
    ),
    Family("nothing: TLS", Way(443), (fill(b"\x16\x03\x01\x05\xa0\x01", b"\x13\x01"),), (), 6),
    _get("escapes", b"%41", b"%", b"%%41", b"%4"),
    _get("escapes of escapes", b"%2541", b"%25", b"%252541"),
    _get("comments", b"/**/", b"/*", b"*/", b"/*a*/+", b"/*" + b"a" * 65 + b"*/"),
    _get("union select", b"union+", b"union+select'", b"union((((", b"+all+union"),
    _get("quotes", b"'", b"'+or+", b"')+and+(", b"'%20or%20'a'"),
    _get("numbers compared", b"+or+1=2", b"+and+11=12", b"=", b"or+1="),
    _get("SQL functions", b";drop+", b"sleep+", b"into+outfile", b"dbms_"),
    _get("script", b"<a+", b"<script", b"<a+on", b"javascript:+", b"'on"),
    _get("paths", b"../", b"..%2f", b"..\\", b"....//", b"/etc/passwd"),
    _get("commands", b";ls", b"|id+", b"$(cat", b"`", b"%0aid", b";/bin/"),
    _get("parameters", b"&a=b;", b"&;", b"?&=", b"&pass="),
    _get("access files", b"/.htaccess", b"/etc/shadow", b"authorized_keys%20", b"=.rhosts"),
    _get("long lines", b"a", b"a/", b"~"),
    _get("methods and blanks", b" ", b" /", b" HTTP/1.1"),
    Family(
        "web: other methods",
        _WEB,
        tuple(fill(m, b"/%27", _END) for m in (b"PUT /", b"DELETE /", b"PROPFIND /", b"TRACE /")),
        (),
        4,
    ),
    Family(
        "web: headers",
        _WEB,
        tuple(
            fill(b"GET / HTTP/1.1\r\n", u)
            for u in (b"A: () {\r\n", b"${jndi:", b"<script ", b"(", b"a:b\r\n")
        ),
        (b"() {", b"<s"),
        16,
    ),
    Family(
        "web: basic logins",
        _WEB,
        tuple(
            fill(b"GET / HTTP/1.1\r\n", u)
            for u in (b"Authorization: Basic a\r\n", b"authorization:  ", b"basic ")
        ),
        (),
        16,
    ),
    Family(
        "web: many requests in one",
        _WEB,
        tuple(
            fill(b"GET / HTTP/1.1\r\n\r\n", u)
            for u in (b"GET /?' HTTP/1.1\r\n\r\n", b"\r\n", b"\r\n\r\n")
        ),
        (),
        18,
    ),
    _form("forms", b"a=%27&", b"pass=a&", b"user_pwd=%41+", b"<a&", b"a='or+1=1&"),
    _form(
        "multipart",
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n<?php ',
        b"\r\n--",
        b'";',
    ),
    Family(
        "web: refusals",
        Way(80, by_server=True),
        (fill(b"HTTP/1.1 401 No\r\n", b"A: b\r\n"),),
        (),
        12,
    ),
    Family(
        "probes",
        Way(80),
        (b"GET / HTTP/1.0\r\n\r\n", b"\r\n\r\n", b"OPTIONS / RTSP/1.0\r\n\r\n"),
        fixed=SEGMENT,
    ),
    Family(
        "probes: binary",
        Way(9_999),
        tuple(
            fill(p, b"\0")
            for p in (b"\x80\0\0\x28\x72\xfe\x1d\x13", b"\x30\x84\0\0\0\x2d\x02\x01\x07\x63\x84")
        ),
        (),
        4,
    ),
    Family("ssh: banners", Way(22), (b"SSH-2.0-x\r\n", fill(b"SSH-2.0-", b"x")), (), 8),
    _lines("lines: passwords", 110, b"PASS a\r\n", b"PASS\n", b"pass \n"),
    _lines("lines: AUTH", 587, b"AUTH PLAIN\r\n", b"auth  login\n", b"AUTH \n"),
    _lines("lines: refusals", 110, b"-ERR denied\r\n", b"530 \n", b"535 \n", by_server=True),
    _lines(
        "ftp: commands",
        21,
        b"CWD /etc\r\n",
        b"RETR /etc/passwd\n",
        b"STOR .rhosts\n",
        b"SITE EXEC a\n",
        b"USER root\n",
    ),
    _lines("ftp: one long command", 21, b"RETR /etc/passwd ", b"CWD ../", b"../", b" ~roo"),
    _lines("ftp: empty lines", 21, b"\n", b"\r", b"\r\n", b"a\n"),
    _lines(
        "ftp: answers",
        21,
        b"550 not found\r\n",
        b"230 \n",
        b"550 no such file ",
        b"530 a\n",
        by_server=True,
    ),
    _lines(
        "smtp: commands",
        25,
        b"VRFY root\r\n",
        b"RCPT TO: <|\n",
        b"DEBUG\n",
        b'MAIL FROM: "',
        b"EXPN <decode\n",
    ),
    _lines("smtp: answers", 25, b"354 \r\n", b"235 \n", b"250 ok\n", by_server=True),
    _lines(
        "telnet: one long command", 23, b";/", b"/;", b"exec /", b"> ", b"../", b"sh;", b"(su root "
    ),
    _lines(
        "telnet: commands",
        23,
        b"/bin/sh -i > /etc/passwd; sudo make x\n",
        b"su\n",
        b"a>b\r\0",
        b"cat /etc/shadow\n",
    ),
    _lines("telnet: erasures", 23, b"a\x08", b"\x7f", b"\x08\n", b"sh\x08\x7f"),
    _lines("telnet: its own commands", 23, b"\xff\xfb\x01", b"\xff\xf1", b"\xff\xff", b"\xff"),
    _lines(
        "telnet: subnegotiations",
        23,
        b"\xff\xfa\x01",
        b"\xff\xfa" + b"x" * 210,
        b"\xff\xfa\xff\xf0",
    ),
    _lines(
        "telnet: screens",
        23,
        b"login incorrect not found\n",
        b"no such file\n",
        b"welcome to ",
        b"access denie",
        by_server=True,
    ),
    Family(
        "telnet: prompts",
        Way(23, by_server=True),
        tuple(
            fill(b"", u, t)
            for u, t in (
                (b"\x1b[0m", b"$ "),
                (b"\x1b]0;a\x07", b"# "),
                (b"password", b": "),
                (b"\x1b", b"login:"),
            )
        ),
        (b"\x1b[", b"\x07"),
    ),
    _lines("imap: logins", 143, b"a LOGIN b\r\n", b"a AUTHENTICATE \n", b"a LOGIN ", b"x"),
    _lines(
        "imap: refusals",
        143,
        b"a NO auth\r\n",
        b"a NO x password\n",
        b"a NO ",
        b"x",
        by_server=True,
    ),
    _lines("rsh: trust", 514, b"+ >> .rhosts;", b"+ + >> /etc/hosts.equiv\n", b"+ >", b"+ "),
    _lines("rexec", 512, b"echo + + > .rhosts\0", b"+\0"),
    Family(
        "mysql: refusals",
        Way(3_306, by_server=True),
        (fill(b"\x48\0\0\2\xff\x15\x04", b"x"),),
        (),
        7,
    ),
    Family(
        "postgresql: refusals",
        Way(5_432, by_server=True),
        (fill(b"E\0\0\0\x50SFATAL\0C28P01\0", b"M"), fill(b"E\0\0\0\x50S", b"C28P0")),
        (b"C28P01\0",),
        6,
    ),
    Family(
        "sql server: refusals",
        Way(1_433, by_server=True),
        (fill(b"\4\1\0\x60\0\0\1\0\xaa\x50\0\x18\x48\0\0", b"x"),),
        (),
        9,
    ),
    Family(
        "smb: refusals",
        Way(445, by_server=True),
        (fill(b"\0\0\0\x48\xfeSMB\x40\0\0\0\x6d\0\0\xc0\1\0", b"\0"),),
        (),
        18,
    ),
    Family("modbus: writes", Way(502), (fill(b"\0\1\0\0\0\6\1\6\0\0\0\7", b"\0"),), (), 8),
    Family(
        "s7: stop", Way(102), (fill(b"\3\0\0\x1f\2\xf0\x80\x32\1" + bytes(8), b"\x29"),), (), 18
    ),
    _lines(
        "telnet: what bots type",
        23,
        b"busybox ECCHI;",
        b"wget 1.2.3.4 ",
        b"echo -ne \\x7f\\x45",
        b"cat /proc/mount\n",
        b"tftp 1.1.1.",
    ),
    Family(
        "smb: compounds",
        Way(445),
        tuple(
            fill(b"\0\0\5\xa0\xfeSMB\x40\0\0\0\0\0\0\0" + command + b"\0\1\0\0\0\0\0\x40\0\0\0", u)
            for command in (b"\5", b"\3")
            for u in (b"\\\0C\0", b"\0", b"s\0v\0c\0")
        ),
        (b"\xfeSMB",),
        28,
    ),
    Family(
        "smb: shares of SMB 1",
        Way(445),
        (fill(b"\0\0\5\xa0\xffSMB\x75", b"\\ADMIN"), fill(b"\0\0\5\xa0\xffSMB\xa2", b"\\svcct")),
        (),
        9,
    ),
    Family(
        "rdp: channels",
        Way(3_389),
        (fill(b"\3\0\5\xa0\2\xf0\x80\x7f\x65", b"MS_T12"),),
        (b"ms_t120\0",),
        9,
    ),
    Family(
        "sip: registrations",
        Way(5_060),
        (
            fill(b"REGISTER sip:h SIP/2.0\r\nCall-ID: a\r\nCSeq: 1\r\n", b"Authorization: a\r\n"),
            fill(b"REGISTER ", b"\r\ni:"),
        ),
        (b"\r\ncseq:", b"\r\nauthorization:"),
        9,
    ),
    Family(
        "sip: scanners' names",
        Way(5_060, udp=True),
        tuple(
            fill(b"OPTIONS sip:a SIP/2.0\r\n", u)
            for u in (b"User-Agent: friendly-scanne\r\n", b"to: sipv", b"from\t\t", b"f:t:sipcl")
        ),
        (b"user-agent:",),
        4,
    ),
    Family(
        "sip: numbers",
        Way(5_060, udp=True),
        (
            fill(b"INVITE sip:", b"0049"),
            fill(b"INVITE tel:", b"1;"),
            fill(b"INVITE sip:9999999999@h ", b"a"),
        ),
        (),
        7,
    ),
    Family(
        "sip: refusals",
        Way(5_060, by_server=True),
        (fill(b"SIP/2.0 401 No\r\nCSeq: 1 REGISTER\r\n", b"Call-ID: a\r\n"),),
        (b"\r\ni:", b" register"),
        12,
    ),
    Family(
        "udp: requests that are none",
        Way(53, udp=True),
        (fill(b"GET /", b"%27", _END), fill(b"\r\n\r\n", b"x")),
        (),
        4,
    ),
    Family("blind: telnet", Way(23, blind=True), (fill(b"", b";/", b"\n"),)),
    Family("blind: web", Way(80, blind=True), (fill(b"GET /", b"%2541", _END),), (), 5),
    Family("blind: rsh", Way(514, blind=True), (fill(b"", b"+ >> .rhosts;"),)),
)
