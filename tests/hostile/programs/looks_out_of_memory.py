r"""End as the kernel ends what eats memory, without eating any.

ends: killed
"""

import os
import signal

os.kill(os.getpid(), signal.SIGKILL)
