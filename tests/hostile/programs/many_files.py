r"""Make 100,000 files.

ends: ok
says: contained
bubblewrap says: any
brings: any
"""

made = 0
try:
    for number in range(100_000):
        with open(f"{number}", "w") as file:
            file.write("x")
        made += 1
except OSError:
    pass
print("contained" if made < 1_000 else f"{made} files")
