"""IDMEF, the words in which managers of others tell of alerts: IDMEFv2 (JSON) out and in, RFC 4765
(XML) in. Pure; `agents.console` and `agents.sensor` bring the bytes (docs/idmef.md)."""
