from actors.roles.budget.role import ROLE

__all__ = ["ROLE"]
