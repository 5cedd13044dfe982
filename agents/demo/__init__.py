"""`ontoidps demo`: the whole product against a real attack, in a network laboratory that vanishes.

`relay` joins the console's socket inside the laboratory to a port of the host, `world` builds the
honeynet and starts its launchers, `run` runs the attack and records what was observed.
"""
