"""Parts of a message that a rule may look into, by the names that rules call them.

A buffer's name in `Content.buffer` is its sticky name (Suricata's), followed by the transforms that
are carried out on it, each after a ``|``: ``dns.query|dotprefix``.
"""

from __future__ import annotations

from dataclasses import dataclass

PAYLOAD = "payload"


@dataclass(frozen=True, slots=True)
class Buffer:
    """Whose message holds it: True the client's, False the server's, None either's."""

    application: str
    to_server: bool | None


_HTTP = {
    "http.uri": True,
    "http.uri.raw": True,
    "http.method": True,
    "http.host": True,
    "http.host.raw": True,
    "http.user_agent": True,
    "http.referer": True,
    "http.accept": True,
    "http.accept_enc": True,
    "http.accept_lang": True,
    "http.request_body": True,
    "http.request_line": True,
    "http.header": None,
    "http.header.raw": None,
    "http.header_names": None,
    "http.cookie": None,
    "http.content_type": None,
    "http.content_len": None,
    "http.connection": None,
    "http.protocol": None,
    "http.start": None,
    "http.stat_code": False,
    "http.stat_msg": False,
    "http.response_line": False,
    "http.response_body": False,
    "http.location": False,
    "http.server": False,
    "file.data": False,
}
_TLS = {
    "tls.sni": True,
    "ja3.hash": True,
    "ja3s.hash": False,
    "tls.certs": False,
    "tls.cert_subject": False,
    "tls.cert_issuer": False,
    "tls.cert_serial": False,
    "tls.cert_fingerprint": False,
}
BUFFERS: dict[str, Buffer] = (
    {name: Buffer("http", way) for name, way in _HTTP.items()}
    | {name: Buffer("tls", way) for name, way in _TLS.items()}
    | {"dns.query": Buffer("dns", True)}
    | {name: Buffer("ssh", None) for name in ("ssh.proto", "ssh.software")}
)
"""What is carried out, and of which protocol it is."""
STICKY: dict[str, str] = {name: name for name in BUFFERS} | {
    "file_data": "file.data",
    "dns_query": "dns.query",
    "tls_sni": "tls.sni",
    "tls_cert_subject": "tls.cert_subject",
    "tls_cert_issuer": "tls.cert_issuer",
    "tls_cert_serial": "tls.cert_serial",
    "tls_cert_fingerprint": "tls.cert_fingerprint",
    "tls.subject": "tls.cert_subject",
    "tls.issuerdn": "tls.cert_issuer",
    "tls.fingerprint": "tls.cert_fingerprint",
    "ja3_hash": "ja3.hash",
    "ja3s_hash": "ja3s.hash",
    "ssh_proto": "ssh.proto",
    "ssh_software": "ssh.software",
    "http_header_names": "http.header_names",
    "http_start": "http.start",
    "http_accept": "http.accept",
    "http_accept_enc": "http.accept_enc",
    "http_accept_lang": "http.accept_lang",
    "http_connection": "http.connection",
    "http_content_len": "http.content_len",
    "http_content_type": "http.content_type",
    "http_protocol": "http.protocol",
    "http_referer": "http.referer",
    "http_request_line": "http.request_line",
    "http_response_line": "http.response_line",
    "pkt_data": PAYLOAD,
}
"""Options after which contents look into a buffer."""
MODIFIERS: dict[str, str] = {
    "http_uri": "http.uri",
    "http_raw_uri": "http.uri.raw",
    "http_method": "http.method",
    "http_header": "http.header",
    "http_raw_header": "http.header.raw",
    "http_client_body": "http.request_body",
    "http_server_body": "http.response_body",
    "http_cookie": "http.cookie",
    "http_user_agent": "http.user_agent",
    "http_host": "http.host",
    "http_raw_host": "http.host.raw",
    "http_stat_code": "http.stat_code",
    "http_stat_msg": "http.stat_msg",
    "rawbytes": PAYLOAD,
}
"""Options that move the content before them into a buffer."""
PCRE_FLAGS: dict[str, str] = {
    "U": "http.uri",
    "I": "http.uri.raw",
    "M": "http.method",
    "H": "http.header",
    "D": "http.header.raw",
    "P": "http.request_body",
    "Q": "http.response_body",
    "C": "http.cookie",
    "V": "http.user_agent",
    "W": "http.host",
    "Z": "http.host.raw",
    "S": "http.stat_code",
    "Y": "http.stat_msg",
    "B": PAYLOAD,
}
"""Letters behind an expression that move it into a buffer."""
TRANSFORMS = frozenset(
    "dotprefix to_lowercase to_uppercase strip_whitespace compress_whitespace url_decode to_md5 "
    "to_sha1 to_sha256 header_lowercase".split()
)
"""Options that change the buffer named before them."""
KEEPS_TEXT = frozenset(["dotprefix", "to_lowercase", "to_uppercase", "header_lowercase"])
"""Transforms after which, but for case and a leading dot, the text is what it was."""


def base(name: str) -> str:
    """A buffer's name without its transforms."""
    return name.partition("|")[0]
