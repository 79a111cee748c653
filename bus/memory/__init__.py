"""The log in memory: one process, no server, the same promises as JetStream.

It carries the simulation, where delivery order, duplicates and crashes come from a seed. What it promises
is held against the real carrier by the contract suite.
"""

from bus.memory.broker import MemoryCarrier, MemoryServer

__all__ = ["MemoryCarrier", "MemoryServer"]
