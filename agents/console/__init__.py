"""The console: REST, server-sent events and one page; an agent and a process of its own.

It is told by the supervisor (fipa-subscribe, topic ``Oversight``) and by the ontology agent (names
of clusters), keeps its own store of views, answers every read from it, and passes what operators do
on to the supervisor, as requests in their name. So the page can neither slow an order nor read
another agent's key: the process gives up the right to open other agents' files (`confinement`).

Alerts carry text that attackers wrote, and this page can lift blocks. So there is no third-party
script, no inline script or style, and text reaches the page as text nodes only.
"""
