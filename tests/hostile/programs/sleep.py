r"""Do nothing for ever.

ends: timeout
timeout_s: 1
"""

import time

time.sleep(600)
