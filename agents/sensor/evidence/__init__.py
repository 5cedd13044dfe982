"""The packets that alerts rest on: cut out, kept within bounds, handed out when asked."""
