"""What every agent stands on: the bus, durable delivery, guarded tasks, health, process entry.

A role derives from `BaseAgent` and meets neither SPADE nor sockets. `bus` is the only module here
that knows SPADE; `delivery` and `outbox` make messages arrive at least once; `runner` is a process.
"""

from agents.base.agent import BaseAgent
from agents.base.context import AgentContext
from agents.base.runner import run_agent

__all__ = ["AgentContext", "BaseAgent", "run_agent"]
