"""What notebooks leave for their kernel's end: files that only it completes, hooks, threads.

Each story is a few cells. Whatever it writes goes to a folder of its own, called ME, as are its
names: so all of them can be told in one notebook as well as each in its own. They are chosen by
where a file, or an object with a finalizer, can be held: a kernel that ends by a shorter way than
Python's has to look into each of these places.
"""

from __future__ import annotations

import sys

FORMATS = {
    "text": 'ME = open("ME/file", "w"); _ = ME.write("text")',
    "binary": 'ME = open("ME/file", "wb"); _ = ME.write(bytes(100))',
    "appended": """
        with open("ME/file", "w") as file: _ = file.write("first,")
        ME = open("ME/file", "a"); _ = ME.write("second")
        """,
    "updated": """
        with open("ME/file", "w") as file: _ = file.write("0123456789")
        ME = open("ME/file", "r+"); _ = ME.read(3), ME.seek(5), ME.write("FIVE")
        """,
    "layers": """
        import io
        ME = io.TextIOWrapper(io.BufferedWriter(io.FileIO("ME/file", "w")))
        _ = ME.write("text")
        """,
    "descriptor": """
        import os
        ME = os.fdopen(os.open("ME/file", os.O_CREAT | os.O_WRONLY), "w"); _ = ME.write("text")
        """,
    "codecs": """
        import codecs
        ME = codecs.open("ME/file", "w", "utf-16"); _ = ME.write("text")
        """,
    "gzip": """
        import gzip
        ME = gzip.GzipFile("ME/file.gz", "wb", mtime=0); _ = ME.write(b"text" * 100)
        """,
    "bz2_text": 'import bz2; ME = bz2.open("ME/file.bz2", "wt"); _ = ME.write("text" * 100)',
    "lzma": 'import lzma; ME = lzma.open("ME/file.xz", "wb"); _ = ME.write(b"text" * 100)',
    "zip": """
        import zipfile
        ME = zipfile.ZipFile("ME/file.zip", "w"); ME.writestr(zipfile.ZipInfo("member"), "text")
        """,
    "zip_member": """
        import zipfile
        ME = [zipfile.ZipFile("ME/file.zip", "w")]
        ME.append(ME[0].open(zipfile.ZipInfo("member"), "w")); _ = ME[1].write(b"text" * 100)
        """,
    "tar": """
        import io, tarfile
        ME = tarfile.open("ME/file.tar", "w"); member = tarfile.TarInfo("member")
        member.size = 4; ME.addfile(member, io.BytesIO(b"text"))
        """,
    "csv": """
        import csv
        ME = csv.writer(open("ME/file.csv", "w")); _ = ME.writerow([1, "two", 3.0])
        """,
    "shelf": """
        import dbm.dumb, shelve
        ME = shelve.Shelf(dbm.dumb.open("ME/shelf"), writeback=True)
        ME["list"] = [1]; ME["list"].append(2)
        """,
    "database": """
        import sqlite3
        ME = sqlite3.connect("ME/base"); _ = ME.execute("create table t (x)"); ME.commit()
        _ = ME.execute("insert into t values (1)")
        """,
    "redirected": """
        import contextlib
        ME = contextlib.redirect_stdout(open("ME/file", "w")); _ = ME.__enter__()
        print("into the file"); _ = ME.__exit__(None, None, None)
        """,
    "memory_map": """
        import mmap
        with open("ME/file", "wb+") as file:
            _ = file.write(bytes(10)); file.flush(); ME = mmap.mmap(file.fileno(), 10)
        ME[2:4] = b"xy"
        """,
    "unbuffered": 'ME = open("ME/file", "wb", buffering=0); _ = ME.write(b"text")',
    "read_only": """
        with open("ME/file", "w") as file: _ = file.write("text")
        ME = open("ME/file"); _ = ME.read(1)
        """,
}

OPENED = 'ME_file = open("ME/file", "w"); _ = ME_file.write("text")\n'
"""Begins those that follow: they say who holds the file."""

HOLDERS = {
    "local_module": """
        del ME_file
        with open("ME.py", "w") as source:
            _ = source.write('file = open("ME/file", "w"); file.write("text by the module")')
        ---
        import ME
        """,
    "builtins": "import builtins; builtins.ME = [ME_file]; del ME_file",
    "sys": "import sys; sys.ME = (ME_file,); del ME_file",
    "stdlib_module": "import json; json.ME = {1: ME_file}; del ME_file",
    "replaced_stream": """
        import sys; ME_streams = sys.__stdin__
        sys.__stdin__ = ME_file; del ME_file
        """,
    "made_module": """
        import sys, types
        sys.modules["ME"] = types.ModuleType("ME"); sys.modules["ME"].file = ME_file; del ME_file
        """,
    "displayed_value": """
        ME_file
        ---
        del ME_file
        1
        """,
    "cycle": "ME = [ME_file]; ME.append(ME); del ME, ME_file",
    "closure": """
        def ME(file): return lambda: file
        ME = ME(ME_file); del ME_file
        """,
    "default_argument": """
        def ME(file=ME_file): pass
        del ME_file
        """,
    "class": """
        class ME: file = ME_file
        del ME_file
        """,
    "lru_cache": """
        import functools
        @functools.lru_cache
        def ME(): return open("ME/file", "w")
        _ = ME().write("cached"); del ME_file
        """,
    "iterator": "ME = map(ME_file.write, 'abc'); _ = next(ME); del ME_file",
    "generator": """
        def ME(file):
            try:
                yield
            finally:
                file.write(" and what the generator writes at last")
        ME = ME(ME_file); next(ME); del ME_file
        """,
    "generator_in_cycle": """
        def ME(file, cycle):
            try:
                yield
            finally:
                file.write(" and what the generator writes at last")
        cycle = []; cycle.append(ME(ME_file, cycle)); next(cycle[0]); del cycle, ME_file
        """,
    "context_manager": """
        import contextlib
        @contextlib.contextmanager
        def ME(file):
            try:
                yield
            finally:
                file.write(" and what the manager writes at last")
        ME = ME(ME_file); ME.__enter__(); del ME_file
        """,
    "exit_stack": """
        import contextlib
        ME = contextlib.ExitStack(); ME.enter_context(ME_file)
        _ = ME.callback(ME_file.write, " never written"); del ME_file
        """,
    "coroutine": """
        import types
        async def ME(file):
            try:
                await types.coroutine(lambda: (yield))()
            finally:
                file.write(" and what the coroutine writes at last")
        ME = ME(ME_file); ME.send(None); del ME_file
        """,
    "pending_task": """
        import asyncio
        async def ME(file):
            try:
                await asyncio.sleep(1000)
            finally:
                file.write(" and what the task writes at last")
        ME = asyncio.ensure_future(ME(ME_file)); del ME_file
        await asyncio.sleep(0)
        """,
    "callback_of_the_loop": """
        import asyncio
        ME = asyncio.get_running_loop().call_later(1000, ME_file.write, "never"); del ME, ME_file
        """,
    "asynchronous_generator": """
        async def ME(file):
            try:
                yield
            finally:
                file.write(" and what the generator writes at last")
        ME = ME(ME_file); await ME.__anext__(); del ME_file
        """,
    "thread_local": """
        import threading
        ME = threading.local(); ME.file = ME_file; del ME_file
        """,
    "daemon_thread": """
        import threading
        def ME(ready):
            file = open("ME/file", "w"); file.write("text"); ready.set(); threading.Event().wait()
        ME_ready = threading.Event()
        threading.Thread(target=ME, args=[ME_ready], daemon=True).start(); _ = ME_ready.wait()
        del ME_file
        """,
    "thread_local_of_a_daemon_thread": """
        import threading
        ME_local = threading.local()
        def ME(ready):
            ME_local.file = open("ME/other", "w"); ME_local.file.write("text"); ready.set()
            threading.Event().wait()
        ME_ready = threading.Event()
        threading.Thread(target=ME, args=[ME_ready], daemon=True).start(); _ = ME_ready.wait()
        """,
    "context_variable": """
        import contextvars
        ME = contextvars.ContextVar("ME"); _ = ME.set(ME_file); del ME_file
        """,
    "failed_cell": """
        del ME_file
        def ME():
            file = open("ME/other", "w"); file.write("text"); raise ValueError("keeps its frame")
        ME()
        """,
    "exception": """
        def ME(file):
            try:
                raise ValueError
            except ValueError as error:
                return error
        ME = ME(ME_file); del ME_file
        """,
    "signal_handler": """
        import signal
        _ = signal.signal(signal.SIGUSR2, lambda *args, file=ME_file: None); del ME_file
        """,
    "exception_hook": """
        import threading
        def ME(*args, file=ME_file): pass
        threading.excepthook = ME; del ME, ME_file
        """,
    "collector_callback": """
        import gc
        gc.callbacks.append(lambda *args, file=ME_file: None); del ME_file
        """,
    "codec": """
        import codecs
        codecs.register(lambda name, file=ME_file: None); del ME_file
        """,
    "audit_hook": """
        import sys
        sys.addaudithook(lambda *args, file=ME_file: None); del ME_file
        """,
    "fork_hook": """
        import os
        os.register_at_fork(after_in_child=lambda file=ME_file: None); del ME_file
        """,
    "pickle_registry": """
        import copyreg
        class ME: pass
        copyreg.pickle(ME, lambda one, file=ME_file: "ME"); del ME, ME_file
        """,
    "ipython_event": """
        def ME(*args, file=ME_file): pass
        get_ipython().events.register("post_run_cell", ME); del ME, ME_file
        """,
    "ipython_formatter": """
        class ME: pass
        plain = get_ipython().display_formatter.formatters["text/plain"]
        _ = plain.for_type(ME, lambda one, p, cycle, file=ME_file: None); del ME, ME_file
        """,
    "comm": """
        import comm
        ME = comm.create_comm(target_name="ME", comm_id="ME")
        ME.on_msg(lambda message, file=ME_file: None); del ME, ME_file
        """,
    "c_reference": "import ctypes; ME = ctypes.py_object(ME_file); del ME_file",
    "leaked_reference": """
        import ctypes
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(ME_file)); del ME_file
        """,
    "weak_dictionary": """
        import weakref
        class ME: pass
        ME.one = ME(); ME.files = weakref.WeakKeyDictionary({ME.one: ME_file}); del ME_file
        """,
    "quiet_object": """
        class ME:  # whose instances no collector knows
            __slots__ = ()
            def __del__(self, open=open):
                with open("ME/deleted", "w") as file: file.write("yes")
        ME = {"one": ME()}
        """,
    "subclass_of_a_number": """
        class ME(float):
            __slots__ = ()
            def __del__(self, open=open):
                with open("ME/deleted", "w") as file: file.write("yes")
        ME = [ME(1)]
        """,
    "metaclass": """
        class ME_type(type):
            def __del__(cls, open=open):
                with open("ME/deleted", "w") as file: file.write(cls.__name__)
        class ME(metaclass=ME_type): pass
        """,
    "module_subclass": """
        import sys, types
        class ME(types.ModuleType):
            def __del__(self, open=open):
                with open("ME/deleted", "w") as file: file.write(self.__name__)
        sys.modules["ME_module"] = ME("ME_module"); del ME
        """,
}

FINALIZERS = {
    "prints": """
        class ME:
            def __del__(self, open=open):
                print("printed at the end")
                with open("ME/deleted", "w") as file: file.write("after printing")
        ME = ME()
        """,
    "raises": """
        class ME:
            def __del__(self, open=open):
                with open("ME/deleted", "w") as file: file.write("before raising")
                raise ValueError("at the end")
        ME = ME()
        """,
    "uses_builtins": """
        class ME:
            def __del__(self):
                with open("ME/deleted", "w") as file: print(sorted("cab"), file=file)
        ME = ME()
        """,
    "imports": """
        class ME:
            def __del__(self, open=open):
                try:
                    import colorsys
                    said = colorsys.__name__
                except BaseException as error:
                    said = repr(error)
                with open("ME/deleted", "w") as file: file.write(said)
        ME = ME()
        """,
    "has_a_module": """
        import pathlib
        class ME:
            def __del__(self, pathlib=pathlib):
                pathlib.Path("ME/deleted").write_text("with pathlib")
        ME = ME()
        """,
    "starts_a_process": """
        import subprocess
        class ME:
            def __del__(self, subprocess=subprocess):
                subprocess.run(["sh", "-c", "echo told > ME/deleted"])
        ME = ME()
        """,
    "in_a_cycle_with_a_module": """
        import sys, types
        class ME:
            def __del__(self, open=open):
                with open("ME/deleted", "w") as file: file.write("yes")
        one = ME(); one.itself = one; one.module = sys; del one, ME
        """,
    "order_in_a_tree": """
        class ME:
            def __init__(self, name, *below): self.name, self.below = name, below
            def __del__(self, open=open):
                with open("ME/deleted", "a") as file: file.write(self.name + " ")
        ME = [ME("root", ME("left"), ME("right", ME("leaf"))), ME("other")]
        """,
    "weakref_finalize": """
        import weakref
        def ME_note(word):
            with open("ME/finalized", "a") as file: file.write(word + " ")
        class ME: pass
        ME = ME(); weakref.finalize(ME, ME_note, "first"); weakref.finalize(ME, ME_note, "second")
        weakref.finalize(ME, ME_note, "not at exit").atexit = False
        """,
    "weakref_callback": """
        import json, weakref
        class ME_Class: pass
        def ME_note(ref, open=open):
            with open("ME/gone", "w") as file: file.write("yes")
        ME = ME_Class(); json.ME_ref = weakref.ref(ME, ME_note)
        """,
    "exit_hooks": """
        import atexit
        def ME(word):
            with open("ME/hooks", "a") as file: file.write(word + " ")
        atexit.register(ME, "registered first")
        atexit.register(ME, "registered second")
        _ = atexit.register(lambda: 1 / 0)
        atexit.register(ME, "never"); atexit.unregister(print)
        def ME_last():
            import colorsys
            ME(colorsys.__name__); ME(str("ME_value" in globals()))
        ME_value = 1
        _ = atexit.register(ME_last)
        """,
    "exit_hook_that_prints": """
        import atexit, sys
        def ME():
            print("printed at exit"); print("to stderr", file=sys.stderr); sys.stdout.flush()
            display("shown at exit")
            with open("ME/hooks", "w") as file: file.write("after printing")
        _ = atexit.register(ME)
        """,
    "exit_hook_with_a_local_module": """
        import atexit
        with open("ME_late.py", "w") as source: _ = source.write("VALUE = 'imported at exit'")
        def ME():
            import ME_late
            with open("ME/hooks", "w") as file: file.write(ME_late.VALUE)
        _ = atexit.register(ME)
        """,
    "c_library": """
        import ctypes
        libc = ctypes.CDLL(None); libc.fopen.restype = ctypes.c_void_p
        file = ctypes.c_void_p(libc.fopen(b"ME/file", b"w"))
        _ = libc.fputs(b"buffered by C's library", file)
        """,
    "temporary_files": """
        import tempfile
        ME = [tempfile.TemporaryDirectory(dir="ME"), tempfile.NamedTemporaryFile("w", dir="ME")]
        with open(ME[0].name + "/file", "w") as file: _ = file.write("goes with its folder")
        _ = ME[1].write("goes, too")
        ME_cycle = [tempfile.TemporaryDirectory(dir="ME")]; ME_cycle.append(ME_cycle); del ME_cycle
        """,
    "logging": """
        import logging, logging.handlers
        ME = logging.getLogger("ME"); ME.propagate = False
        ME.addHandler(logging.FileHandler("ME/log", delay=True))
        ME.addHandler(
            logging.handlers.MemoryHandler(100, target=logging.FileHandler("ME/kept in memory"))
        )
        ME.warning("a warning"); del ME
        """,
    "logging_queue": """
        import logging, logging.handlers, queue
        ME_queue = queue.Queue()
        ME = logging.handlers.QueueListener(ME_queue, logging.FileHandler("ME/log"))
        logging.handlers.QueueHandler(ME_queue).handle(logging.makeLogRecord({"msg": "queued"}))
        ME.start(); ME.stop()
        """,
}

# Each waits until the kernel is on its way out: for its main thread, or for a hook.
LATE = {
    "thread": """
        import threading
        def ME():
            threading.main_thread().join()
            with open("ME/late", "w") as file: file.write("by a thread")
        threading.Thread(target=ME).start()
        """,
    "thread_pool": """
        import concurrent.futures, threading
        ME_end = threading.Event()
        def ME(word):
            ME_end.wait()
            with open("ME/late", "a") as file: file.write(word + " ")
        ME_pool = concurrent.futures.ThreadPoolExecutor(1)
        _ = [ME_pool.submit(ME, word) for word in ("by", "a", "pool")]
        threading._register_atexit(ME_end.set)
        """,
    "executor_of_the_loop": """
        import asyncio, threading
        ME_end = threading.Event()
        def ME():
            ME_end.wait()
            with open("ME/late", "w") as file: file.write("by the loop's executor")
        _ = asyncio.get_running_loop().run_in_executor(None, ME)
        threading._register_atexit(ME_end.set)
        """,
    "process": """
        import atexit, multiprocessing
        ME_context = multiprocessing.get_context("fork")
        ME_receiver, ME_sender = ME_context.Pipe(False)
        def ME():
            ME_sender.close(); ME_receiver.recv()
            with open("ME/late", "w") as file: file.write("by a child")
        ME_context.Process(target=ME).start(); _ = atexit.register(ME_sender.send, "go")
        """,
    "daemonic_process": """
        import multiprocessing, threading
        ME_context = multiprocessing.get_context("fork")
        ME_receiver, ME_sender = ME_context.Pipe(False)
        def ME():
            file = open("ME/lost", "w"); file.write("lost"); ME_sender.send("ready")
            threading.Event().wait()
        ME_context.Process(target=ME, daemon=True).start(); _ = ME_receiver.recv()
        """,
    "process_pool": """
        import concurrent.futures, multiprocessing
        def ME(word):
            with open("ME/late", "a") as file: file.write(word + " ")
        ME_pool = concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("fork"))
        _ = [ME_pool.submit(ME, word) for word in ("by", "a", "process")]
        """,
    "pool_of_processes": """
        import multiprocessing
        ME = multiprocessing.get_context("fork").Pool(1)
        with open("ME/late", "w") as file: _ = file.write(str(ME.map(abs, [-1, -2])))
        """,
    "child_by_fork": """
        import os
        ME_file = open("ME/file", "w"); _ = ME_file.write("text")
        if os.fork() == 0:
            os._exit(0)
        _ = os.wait()
        """,
}

COLLECTING = {
    "cycle_in_frozen": """
        import gc
        ME = [ME_file]; ME.append(ME); del ME, ME_file
        gc.freeze()
        """,
    "cycle_without_collector": """
        import gc
        ME = [ME_file]; ME.append(ME); del ME, ME_file
        gc.disable()
        """,
}

STORIES = {
    **{f"format_{name}": cells for name, cells in FORMATS.items()},
    **{f"held_by_{name}": f"{OPENED}{cells}" for name, cells in HOLDERS.items()},
    **{f"finalizer_{name}": cells for name, cells in FINALIZERS.items()},
}
if sys.version_info[:2] == (3, 12):
    # There it is lost when a kernel ends, and kept when the collector happened to come before.
    del STORIES["held_by_generator_in_cycle"]
# These change what becomes of the others: a forked child writes what another story holds.
APART = {
    **{f"late_{name}": cells for name, cells in LATE.items()},
    **{f"held_by_{name}": f"{OPENED}{cells}" for name, cells in COLLECTING.items()},
}
# IPython drops the names of a notebook in the order of a set, which depends on all of them.
ALONE = {
    "finalizer_uses_globals": """
        ME_earlier = "set earlier"
        class ME_Class:
            def __del__(self, open=open):
                found = [type(globals().get(n)).__name__ for n in ("ME_earlier", "ME_later")]
                with open("ME/deleted", "w") as file: file.write(" ".join(found))
        ME = ME_Class()
        ME_later = "set later"
        """,
}

IN_PACKAGES = {
    "object_array": """
        import numpy
        ME = numpy.array([open("ME/file", "w"), None], dtype=object); _ = ME[0].write("text")
        """,
    "mapped_array": """
        import numpy
        ME = numpy.memmap("ME/file", mode="w+", shape=(4,), dtype="u1"); ME[:] = 7
        """,
    "frame_half_written": """
        import gzip, pandas
        ME = gzip.GzipFile("ME/file.csv.gz", "wb", mtime=0)
        pandas.DataFrame({"a": [1, 2]}).to_csv(ME)
        """,
    "figure_at_exit": """
        import atexit
        import matplotlib.pyplot as plt
        def ME():
            plt.plot([1, 2]); plt.savefig("ME/late.png", metadata={"Software": None}); plt.close()
        _ = atexit.register(ME)
        """,
    "document_of_figures": """
        import matplotlib.pyplot as plt
        from matplotlib.backends.backend_pdf import PdfPages
        ME = PdfPages("ME/figures.pdf", metadata={"CreationDate": None})
        plt.plot([1, 2]); ME.savefig(); plt.close()
        """,
}
