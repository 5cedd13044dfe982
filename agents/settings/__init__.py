"""``honeynet.toml``: one frozen object, checked whole before an agent starts."""
