"""Names of buffers: each known, of one protocol, and reachable."""

from rules.signatures.buffers import BUFFERS, MODIFIERS, PAYLOAD, PCRE_FLAGS, STICKY, base


def test_every_name_leads_to_a_buffer() -> None:
    for names in (STICKY, MODIFIERS, PCRE_FLAGS):
        assert set(names.values()) <= {*BUFFERS, PAYLOAD}
    assert set(BUFFERS) <= set(STICKY)


def test_whose_message_it_is() -> None:
    assert BUFFERS["http.uri"].to_server is True
    assert BUFFERS["file.data"].to_server is False
    assert BUFFERS["http.header"].to_server is None
    assert base("dns.query|dotprefix|to_lowercase") == "dns.query"
