"""What can be set: one tree of settings, and the part of it that each actor process is handed.

`config.settings` reads the tree (it needs pydantic); `config.parts` is what an actor decodes (msgspec only).
Nothing is imported here, so that an actor pays for neither by importing the package.
"""
