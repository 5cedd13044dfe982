"""Pellet in a process of its own: windows of facts in, explained inferences out.

`theory` prepares ontology and rules, `window` the facts, `client.PelletWorker` runs them; `worker`
and `pellet` are the other process (AGPL code and the JVM stay there, see NOTICE).
"""
