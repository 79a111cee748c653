r"""Stop every process of one's own: a stopped process handles no signal.

ends: timeout
timeout_s: 1
"""

import os
import signal

os.fork()
os.kill(os.getpid(), signal.SIGSTOP)
