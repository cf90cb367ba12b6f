"""Install a filter of system calls in this process, and pass its listener on.

The launcher and zygotes load this file by its path, into kernels' interpreters. So it runs in
Python 3.8 and later and imports only the standard library. Nothing else may happen between
installing the filter and passing the listener on: until somebody serves it, opening a file waits.
"""

from __future__ import annotations

import array
import ctypes
import os
import socket
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER = 1
_NEW_LISTENER, _WAIT_KILLABLE = 8, 32
_libc: Any = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def install(given: Mapping[str, Any], connection: socket.socket) -> None:
    """Filter this process and its descendants; `connection` gets the listener and one word.

    `given`: "number", that of seccomp(2) here, and "program", in hex. The word is "free", or
    "bound" if the filter needs "no new privileges", under which setuid programs gain none. If there
    is no listener, the word is the reason.
    """
    code = bytes.fromhex(given["program"])
    program = ctypes.create_string_buffer(code, len(code))
    handed = ctypes.create_string_buffer(
        struct.pack("@HP", len(code) // 8, ctypes.addressof(program))
    )
    rights = array.array("i", [0])
    # An administrator need not give up new privileges, so its programs keep their rights.
    for word in (b"free", b"bound"):
        if word == b"bound":
            _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        for flags in (_NEW_LISTENER | _WAIT_KILLABLE, _NEW_LISTENER):  # Linux 5.19, 5.0
            rights[0] = _libc.syscall(given["number"], _SECCOMP_SET_MODE_FILTER, flags, handed)
            if rights[0] >= 0:
                connection.sendmsg([word], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
                os.close(rights[0])
                connection.close()
                return
    connection.sendall(os.strerror(ctypes.get_errno()).encode())
    connection.close()
