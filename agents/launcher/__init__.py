"""The launcher of a node: agent processes, their restarts, the embedded XMPP server."""
