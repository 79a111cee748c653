r"""Fill /tmp.

ends: ok
says: contained
"""

written = 0
try:
    for number in range(64):
        with open(f"/tmp/{number}", "wb", buffering=0) as file:
            for _ in range(16):
                written += file.write(b"x" * 1_000_000)
except OSError:
    pass
print("contained" if written < 40_000_000 else f"BREACH: {written} bytes")
