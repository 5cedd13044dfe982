"""KDD Cup 99 connection records: reading them, and making them from captures."""
