r"""Make folders and links until no more can be made.

ends: ok
says: contained
bubblewrap says: any
"""

import os

made = 0
try:
    while made < 20_000:
        os.mkdir(f"folder{made}")
        os.symlink("nowhere", f"link{made}")
        made += 2
except OSError:
    pass
print("contained" if made < 2_000 else f"{made} entries")
