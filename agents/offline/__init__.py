"""Use without XMPP: the same cores on captures and logs, and files of connection records."""
