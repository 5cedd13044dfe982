"""Who an agent is and what it may say: keys, roles, signatures, the honeynet's certificate
authority."""
