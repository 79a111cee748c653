r"""Crash with a large core.

ends: failed
"""

import os
import signal

held = b"x" * 20_000_000
os.kill(os.getpid(), signal.SIGSEGV)
