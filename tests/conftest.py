"""Imported before any test: `agents` puts its stand-ins for SPADE's bundled parts in place, so that
a test may import ``spade`` first."""

import agents  # noqa: F401
