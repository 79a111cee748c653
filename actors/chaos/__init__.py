"""The whole company under a seeded scheduler: any order, any crash, any delay, the same every time."""
