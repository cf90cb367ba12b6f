"""Wait for what programs wrote straight to a kernel's descriptors, before the kernel ends.

ipykernel turns its descriptors 1 and 2 into pipes. A thread reads each of them and hands on what a
child or a C library writes there. Nobody waits for these threads: a kernel that has answered and
ends takes along what they have not read yet. On a busy machine that is the output of whole cells.

So the kernel, before it answers the kernel_info_request that follows the last cell, writes a mark
into each pipe and waits until its thread has come to the mark, which is then taken out. The mark
looks like a colour, since the thread also copies it into the kernel's log.
"""

from __future__ import annotations

from typing import Final

PATIENCE: Final = 2.0
"""Seconds for which a kernel waits for each pipe."""

_CODE: Final = """
def settled(original, patience):
    def handle(*message):
        import threading
        for thread in threading.enumerate():
            stream = getattr(getattr(thread, "_target", None), "__self__", None)
            try:
                if hasattr(stream, "_watch_pipe_fd"):
                    settle(stream, thread, patience)
            except Exception:
                pass  # another version of ipykernel: its pipes are read as before
        return original(*message)
    def settle(stream, thread, patience):
        import os, threading
        ours, theirs = os.fstat(stream._original_stdstream_fd), os.fstat(stream._fid)
        if (ours.st_dev, ours.st_ino) != (theirs.st_dev, theirs.st_ino):
            return  # the notebook has led it elsewhere
        mark = "\\033[%dm" % int.from_bytes(os.urandom(12), "big")
        arrived, held = threading.Event(), []
        before, write = stream.__dict__.get("write"), stream.write
        def tapped(text):
            if threading.current_thread() is not thread:
                return write(text)
            held.append(text)
            whole = "".join(held)
            if mark in whole:
                held.clear()
                write(whole.replace(mark, ""))
                arrived.set()
            return len(text)
        stream.write = tapped
        try:
            os.write(stream._original_stdstream_fd, mark.encode())
            arrived.wait(patience)
        finally:
            if before is None:
                del stream.write
            else:
                stream.write = before
            if held:
                write("".join(held).replace(mark, ""))
        stream.flush()
    return handle
def begin(handlers, patience):
    name = "kernel_info_request"
    handlers[name] = settled(handlers[name], patience)
"""

CODE: Final = f"""
(lambda space: (
    exec({_CODE!r}, space),
    space["begin"](__import__("IPython").get_ipython().kernel.shell_handlers, {PATIENCE!r}),
))({{"__name__": "nbbuild"}})
"""
"""Code that has an IPython kernel settle its pipes before it answers a kernel_info_request."""
