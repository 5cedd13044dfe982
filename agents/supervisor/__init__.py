"""The supervisor's room: directory of agents, ledger of blocks, propagation, console.

Receives ``AgentDescription`` from every agent, ``Decision`` with its evidence from correlation and
``Block`` reports from reaction; sends ``Decision`` orders to every reaction agent, decisions and
blocks to the ontology agent's archive. Invariant: what is wanted of each gateway stands in the
ledger before an order leaves, so that a crash at any point loses no block and doubles none.
"""
