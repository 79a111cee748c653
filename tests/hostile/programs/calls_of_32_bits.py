r"""Reach refused calls through the 32-bit gate.

ends: ok | failed | killed
machine: x86_64
"""

import ctypes
import mmap

# mov eax, 310 (unshare); mov ebx, 0x10000000; int 0x80; ret
code = b"\x53\xb8\x36\x01\x00\x00\xbb\x00\x00\x00\x10\xcd\x80\x5b\xc3"
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(code)
call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
print("BREACH: made a name space" if call() == 0 else "contained", flush=True)
