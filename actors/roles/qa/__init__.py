from actors.roles.qa.role import ROLE

__all__ = ["ROLE"]
