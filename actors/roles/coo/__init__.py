from actors.roles.coo.role import ROLE

__all__ = ["ROLE"]
