r"""Take memory until there is none.

ends: out_of_memory
hits: memory_bytes
"""

held = []
while True:
    held.append(b"x" * 4_000_000)
