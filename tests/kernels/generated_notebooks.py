"""Notebooks to compare kernels by: generated from a seed, each with outputs that do not vary.

A notebook is a few *themes* in a random order, with random numbers filled in. The themes are what
kernels do differently when they are not set up quite like a stock one: displays, errors, magics,
widgets, processes, threads, loops, plots, what a process knows of itself, and how a kernel ends.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from textwrap import dedent

from comparing_kernels import Compared

from nbbuild.interpreter.imports import Import

PLAIN = {
    "text": """
        import sys
        for number in range({n}):
            print("line", number * {k})
        print("to stderr", {k}, file=sys.stderr)
        {n} * {k}
        ---
        _ + {k}, _1 if "_1" in globals() else None, __name__
        ---
        print("a\\rb" * {n}); print("no end", end="")
        """,
    "displays": """
        from IPython.display import HTML, JSON, SVG, Javascript, Latex, Markdown, display
        display(HTML("<b>{n}</b>"), Markdown("*{k}*"), Latex("$x^{{{n}}}$"), JSON({{"k": {k}}}))
        SVG('<svg xmlns="http://www.w3.org/2000/svg" width="{n}"/>')
        ---
        handle = display("first", display_id="id-{n}")
        handle.update("second {k}")
        ---
        from IPython.display import clear_output
        print("gone"); clear_output(); print("kept {n}")
        ---
        class Rich:
            def _repr_html_(self): return "<i>{k}</i>"
            def _repr_mimebundle_(self, **more): return {{"text/plain": "{n}", "x/y": {k}}}
        Rich()
        """,
    "errors": """
        def divide(a, b):
            return a / b
        divide({n}, 0)
        ---
        raise ValueError("number {k}") from KeyError("cause")
        ---
        for i in range({n}) print(i)
        ---
        undefined_{n}
        ---
        assert {n} > {k} + 100, "not so"
        ---
        raise SystemExit({n})
        ---
        def deep(n): return deep(n - 1) if n else int("x{k}")
        deep({n})
        ---
        def endless(n): return endless(n + {k})
        endless({n})
        ---
        def depth(n):
            try: return depth(n + 1)
            except RecursionError: return n
        depth({n})
        ---
        raise ExceptionGroup("group", [ValueError({n}), TypeError({k})])
        """,
    "magics": """
        %lsmagic
        ---
        %%capture caught
        print("caught {n}")
        ---
        print(caught.stdout); %precision {n}
        3.14159265
        ---
        %env NBB_TEST={k}
        import os; print(os.environ["NBB_TEST"])
        !echo $NBB_TEST {n}
        out = !seq {n}
        out
        ---
        %%writefile made_{n}.py
        value = {k}
        print("ran", __name__)
        ---
        %run made_{n}.py
        value
        ---
        %%bash
        echo from bash {n}; echo to stderr >&2; pwd | wc -l
        ---
        %who_ls
        ---
        %%html
        <p>{k}</p>
        ---
        %config InlineBackend
        ---
        %load_ext autoreload
        %autoreload 2
        %no_such_magic {n}
        ---
        %history -n 1
        ---
        %pinfo print
        len?
        ---
        %alias_magic t{n} precision
        """,
    "more magics": """
        first, second = {n}j, {k}.5
        %who
        %whos complex float
        ---
        result = %timeit -r1 -n1 -o -q pass
        result.loops, result.repeat, len(result.all_runs)
        ---
        %%capture timed
        %time {n} + {k}
        ---
        print([line.split(":")[0] for line in timed.stdout.splitlines()])
        %xmode Plain
        first / 0
        ---
        %xmode Verbose
        first / 0
        ---
        %xmode Context
        %mkdir -p sub-{n}
        %pushd sub-{n}
        %popd
        ---
        %%python
        import sys; print({n}, sys.stdin.read(), "in a child")
        ---
        %%script sh -c 'cat; exit {n}'
        to a script {k}
        ---
        %save -f saved_{n} 1
        ---
        %%writefile reloaded_{n}.py
        VALUE = {n}
        ---
        %load_ext autoreload
        %autoreload 2
        import os, reloaded_{n}
        print(reloaded_{n}.VALUE); os.utime("reloaded_{n}.py", (0, 0))
        ---
        %%writefile reloaded_{n}.py
        VALUE = {k}
        ---
        reloaded_{n}.VALUE
        ---
        %pip --version
        ---
        1 / 0
        ---
        %debug
        ---
        %tb
        ---
        %system echo {k}
        %reset -f
        first
        """,
    "debugging": """
        def function():
            breakpoint()
        function()
        ---
        import inspect, traceback
        print(len(inspect.stack())); traceback.print_stack(limit=3)
        ---
        import sys
        seen = []
        def tracing(frame, event, argument):
            seen.append((event, frame.f_code.co_name)); return tracing
        def traced(n): return n + {k}
        sys.settrace(tracing); traced({n}); sys.settrace(None)
        [event for event, name in seen if name == "traced"]
        ---
        import cProfile, pstats
        profile = cProfile.Profile(); profile.runcall(traced, {n})
        statistics = pstats.Stats(profile)
        sorted(name for _, _, name in statistics.stats), statistics.total_calls
        """,
    "sources": """
        import dataclasses, doctest, enum, inspect, pickle
        @dataclasses.dataclass
        class Point:
            x: int = {n}
            y: float = {k}
        class Colour(enum.Enum):
            RED = {n}
        pickle.loads(pickle.dumps(Point())), Colour.RED, Point.__module__
        ---
        print(inspect.getsource(Point)); help(Point.__eq__)
        ---
        def doubled(x):
            '''
            >>> doubled({n})
            {k}
            '''
            return 2 * x
        print(doctest.testmod())
        """,
    "warnings": """
        import logging, warnings
        warnings.warn("watch out {n}")
        warnings.warn("old {k}", DeprecationWarning)
        logging.getLogger("tale").warning("log %d", {n})
        logging.basicConfig(); logging.warning("root {k}")
        ---
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.warn("now an error {n}")
        ---
        "\\d", {n} is {k}
        """,
    "subprocesses": """
        import os, subprocess, sys
        code = "import sys; print(sys.argv, sys.path[0] == '', sys.flags.isolated, {n})"
        done = subprocess.run([sys.executable, "-c", code, "{k}"], capture_output=True, text=True)
        print(done.stdout, done.stderr, done.returncode)
        ---
        subprocess.check_call(["sh", "-c", "exit {n}"])
        ---
        os.system("echo raw: from system {k}"), os.popen("echo {n}").read()
        ---
        pid = os.fork()
        if pid == 0:
            os._exit({n})
        os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        ---
        print(os.getpid() == os.getpgid(0) == os.getsid(0), os.getcwd().rsplit("/", 1)[-1])
        """,
    "threads": """
        import threading
        from concurrent.futures import ThreadPoolExecutor
        results = []
        threads = [threading.Thread(target=results.append, args=(i * {k},)) for i in range({n})]
        for one in threads: one.start()
        for one in threads: one.join()
        sorted(results), threading.current_thread() is threading.main_thread()
        ---
        with ThreadPoolExecutor({n}) as pool:
            print(list(pool.map(lambda x: x + {k}, range(5))))
        ---
        def fails(): raise RuntimeError("in a thread {n}")
        thread = threading.Thread(target=fails, name="worker"); thread.start(); thread.join()
        ---
        threading.Thread(target=print, args=("printed in a thread {k}",)).run()
        ---
        with ThreadPoolExecutor(1) as pool:
            print(pool.submit(lambda: threading.current_thread().name).result())
        threading.Thread(target=print).name, threading.Timer(1, print).name
        ---
        import http.server, urllib.request
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200); self.end_headers(); self.wfile.write(b"page {k}")
            def log_message(self, *words): print("asked for", self.path)
        with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.handle_request); thread.start()
            try: print(urllib.request.urlopen(f"http://127.0.0.1:{{server.server_port}}/p").read())
            except Exception as error: print(repr(error))
            thread.join()
        """,
    "asyncio": """
        import asyncio
        await asyncio.sleep(0)
        async def later(x):
            await asyncio.sleep(0.001 * x)
            return x * {k}
        await asyncio.gather(*map(later, range({n})))
        ---
        task = asyncio.create_task(later({n}))
        await task
        ---
        never = later(1)
        try: asyncio.run(never)
        finally: never.close()  # else a warning comes whenever it is garbage that is collected
        ---
        async with asyncio.Lock():
            print("locked {n}")
        [x async for x in (i for i in range(3))]
        ---
        await asyncio.wait_for(asyncio.sleep(60), 0.01)
        ---
        pipes = dict.fromkeys(("stdin", "stdout"), asyncio.subprocess.PIPE)
        child = await asyncio.create_subprocess_shell("cat; echo {n}; exit {k}", **pipes)
        await child.communicate(b"to a child "), child.returncode
        ---
        import contextvars, threading
        variable = contextvars.ContextVar("variable", default={n}); _ = variable.set({k})
        print(await asyncio.to_thread(variable.get))
        print(sorted(one.name for one in contextvars.copy_context()))
        def run(): print(asyncio.run(later(2)))
        thread = threading.Thread(target=run); thread.start(); thread.join()
        ---
        loop = asyncio.get_running_loop()
        print(type(loop).__name__, loop.get_debug(), asyncio.current_task().get_name())
        print(len(asyncio.all_tasks()), asyncio.ensure_future(later(0)).get_name())
        await asyncio.gather(later(1), later("x"))
        """,
    "multiprocessing": """
        import multiprocessing, os
        def work(x): return x * {k}
        if True:
            with multiprocessing.get_context("fork").Pool(2) as pool:
                print(pool.map(work, range({n})))
        ---
        import pathlib
        text = "import os\\ndef job(x): return x + {k}, os.path.basename(os.getcwd())"
        pathlib.Path("job_{n}.py").write_text(text)
        import job_{n}
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(pool.map(job_{n}.job, range(3)))
        ---
        from concurrent.futures import ProcessPoolExecutor
        queue = multiprocessing.get_context("fork").Queue()
        child = multiprocessing.get_context("fork").Process(target=queue.put, args=({n},))
        child.start(); print(queue.get()); child.join(); child.exitcode, child.name
        """,
    "multiprocessing in other ways": """
        import pathlib
        text = "import sys\\ndef job(x): return x * {k}, __name__, 'IPython' in sys.modules"
        pathlib.Path("task_{n}.py").write_text(text)
        import multiprocessing, task_{n}
        from concurrent.futures import ProcessPoolExecutor
        with ProcessPoolExecutor(1, multiprocessing.get_context("forkserver")) as pool:
            print(list(pool.map(task_{n}.job, range(3))))
        ---
        with multiprocessing.get_context("fork").Manager() as manager:
            shared = manager.dict(n={n})
            child = multiprocessing.get_context("fork").Process(target=shared.clear)
            print(dict(shared)); child.start(); child.join(); print(dict(shared))
        ---
        from multiprocessing.shared_memory import SharedMemory
        memory = SharedMemory(create=True, size={n}); memory.buf[0] = {k}
        again = SharedMemory(memory.name); print(again.buf[0]); again.close()
        memory.close(); memory.unlink()
        ---
        def fails(): raise ValueError({n})
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
            print(repr(pool.submit(fails).exception()))
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
            pool.submit(os._exit, {n}).result() if "os" in globals() else print("no os")
        ---
        multiprocessing.get_start_method(), multiprocessing.current_process().name
        """,
    "input": """
        input("name? ")
        ---
        import getpass, sys
        print(repr(sys.stdin.read() if not sys.stdin.isatty() else "terminal"))
        getpass.getpass()
        """,
    "signals": """
        import os, signal
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(10**7): pass
        ---
        print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
        print(signal.getsignal(signal.SIGTERM))
        signal.signal(signal.SIGUSR1, lambda *_: print("usr1 {n}"))
        os.kill(os.getpid(), signal.SIGUSR1)
        ---
        signal.alarm(0), signal.pthread_sigmask(signal.SIG_BLOCK, [])
        """,
    "timers": """
        import signal
        def late(number, frame): raise TimeoutError("after {n} ms")
        before = signal.signal(signal.SIGALRM, late)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.00{n})
            while True: pass
        except TimeoutError as error:
            print(error)
        before, signal.getitimer(signal.ITIMER_REAL)
        ---
        import os, resource, time
        print(0 < time.process_time() < 60, 0 < time.thread_time() < 60, sum(os.times()[2:4]) < 60)
        0 < resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2**20
        """,
    "process": """
        import os, resource, signal, sys, threading
        main = threading.main_thread()
        print(main.native_id == os.getpid(), main.ident == threading.get_ident(), main.name)
        print(os.getppid(), os.getpgid(0) == os.getsid(0) == os.getpid(), os.getgroups())
        print({{one.name: str(signal.getsignal(one)) for one in signal.Signals}})
        limits = [name for name in dir(resource) if name.startswith("RLIMIT")]
        print({{name: resource.getrlimit(getattr(resource, name)) for name in limits}})
        print(os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0), os.umask(0o22))
        ---
        wanted = ("Sig", "Shd", "NoNew", "Seccomp:", "Umask", "Cap", "Name", "TracerPid")
        with open("/proc/self/status") as file:
            print([line for line in file if line.startswith(wanted) and "SigQ" not in line])
        for name in ("comm", "oom_score_adj", "coredump_filter", "timerslack_ns"):
            with open(f"/proc/self/{{name}}") as file: print(name, file.read())
        print(os.readlink("/proc/self/exe"), os.path.samefile("/proc/self/cwd", "."))
        ---
        import locale, tempfile, time
        os.environ["TMPDIR"] = os.getcwd(); os.environ["TZ"] = "Asia/Tokyo"; time.tzset()
        print(tempfile.gettempdir(), time.tzname, locale.getlocale(), locale.localeconv())
        os.nice({n}), resource.setrlimit(resource.RLIMIT_NOFILE, (500, 500))
        ---
        import subprocess
        shell = "ulimit -n; nice; echo $TZ; umask; ls -l /proc/self/fd | grep -c socket"
        subprocess.run(["sh", "-c", shell], capture_output=True, text=True).stdout
        """,
    "streams": """
        import os, sys
        names = "name mode encoding errors line_buffering write_through newlines closed".split()
        first = sys.__stdin__, sys.__stdout__, sys.__stderr__
        for stream in (sys.stdin, sys.stdout, sys.stderr, *first):
            print(type(stream), [getattr(stream, name, "none") for name in names])
            print(stream.isatty(), stream.seekable(), stream.readable(), stream.writable())
        sys.stdin is sys.__stdin__, sys.stdin.readline(), sys.stdin.buffer.read()
        ---
        _ = sys.__stdout__.write("raw: to the first stdout {n}\\n"); sys.__stdout__.flush()
        os.write(1, b"raw: to the descriptor {k}\\n"), os.write(2, b"raw: to the other one\\n")
        ---
        import subprocess
        subprocess.run(["echo", "raw: from a child {n}"]).returncode
        ---
        import ctypes
        libc = ctypes.CDLL(None)
        libc.puts(b"raw: from C {k}"); _ = libc.fflush(None)
        """,
    "garbage": """
        import gc, sys, weakref
        gc.collect()
        class Node:
            def __del__(self): print("deleted", self.number)
        def cycle(number):
            node = Node(); node.number, node.itself = number, node
            return weakref.ref(node, lambda one: print("callback"))
        reference = cycle({n})
        ---
        print(reference() is not None, gc.collect() > 0, reference())
        ---
        kept = [Node() for number in range({n})]
        for number, node in enumerate(kept): node.number = number
        print(sum(isinstance(one, Node) for one in gc.get_objects()), gc.is_tracked(kept))
        print(len(gc.get_referrers(kept[0])), len(gc.get_referents(kept)), sys.getrefcount(kept[0]))
        del kept, node
        ---
        gc.disable(), gc.isenabled(), gc.enable(), gc.isenabled(), gc.garbage, gc.get_debug()
        """,
    "state": r"""
        import builtins, gc, locale, logging, os, re, sys, threading, warnings
        print([re.sub(r"nbb-\w+/\d+", "nbb", word) for word in sys.argv + sys.orig_argv])
        print(sys.path, sys.executable, sys.prefix, sys._base_executable, sys.warnoptions)
        print(sys.flags, sys.getrecursionlimit(), sys.getswitchinterval(), sys._xoptions)
        print(gc.isenabled(), gc.get_threshold(), gc.callbacks, locale.setlocale(locale.LC_ALL))
        print(warnings.filters, warnings.showwarning)
        print(sorted(set(dir(builtins))), sorted(sys.modules))
        print(list(os.environ))
        main = vars(sys.modules["__main__"])
        print(main.get("__file__"), main.get("__spec__"), sorted(main))
        print(sys.stdin.name, sys.__stdout__.line_buffering, os.umask(0o22), os.nice(0))
        ---
        import faulthandler, tracemalloc
        print(faulthandler.is_enabled(), tracemalloc.is_tracing())
        print(sys.gettrace(), sys.getprofile(), sys.meta_path, sys.path_hooks)
        print(sys.excepthook, sys.displayhook, sys.unraisablehook, sys.breakpointhook)
        print(sorted(re.sub(r"nbb-\w+/\d+", "nbb", place) for place in sys.path_importer_cache))
        print(logging.root.handlers, logging.root.level, logging.root.manager.disable)
        loggers = logging.root.manager.loggerDict
        print(sorted((name, str(one)) for name, one in loggers.items()))
        print(threading.active_count(), threading.stack_size(), threading.excepthook)
        """,
    "random": """
        import random
        random.seed({n}); random.random(), random.sample(range(100), 3)
        ---
        import hashlib, uuid, datetime, decimal, fractions
        print(hashlib.sha256(b"{k}").hexdigest(), uuid.UUID(int={n}), decimal.Decimal(1) / {n})
        print(fractions.Fraction({n}, {k}), datetime.date(2020, 1, 1) + datetime.timedelta({n}))
        {{"a set", "of", "words", "{k}"}}, hash("{n}"), list(frozenset("abc{k}"))
        """,
    "files": """
        import pathlib, sqlite3, tempfile
        pathlib.Path("file-{n}.txt").write_text("{k}\\n")
        with sqlite3.connect("base-{n}.db") as base:
            base.execute("create table if not exists t (x)")
            base.execute("insert into t values ({k})")
        print(sorted(p.name for p in pathlib.Path().glob("*-{n}.*")))
        with tempfile.TemporaryDirectory() as folder: print(pathlib.Path(folder).exists())
        """,
    "comms": """
        import comm
        from IPython import get_ipython
        channel = comm.create_comm(target_name="test.{n}", data={{"k": {k}}}, comm_id="id-{n}")
        channel.send({{"n": {n}}}); channel.close()
        ---
        sorted(get_ipython().kernel.comm_manager.targets), get_ipython().events.callbacks.keys()
        ---
        plain = get_ipython().display_formatter.formatters["text/plain"]
        plain.for_type(complex, lambda c, p, _: p.text("complex {k}"))
        1j
        """,
    "modules": """
        import pathlib, sys
        pathlib.Path("local_{n}.py").write_text("NAME = __name__\\nprint('imported', NAME)")
        import local_{n}
        local_{n}.NAME, local_{n}.__file__.rsplit("/", 1)[-1]
        ---
        import no_such_module_{n}
        ---
        import importlib
        importlib.reload(local_{n})
        """,
}

# For plain notebooks and for those with packages in memory.
WIDGETS = {
    "widgets": """
        import ipywidgets as widgets
        from IPython.display import HTML, display
        slider = widgets.IntSlider({n}, 0, 100, description="n"); slider
        ---
        other = widgets.FloatText({k}.5)
        link = widgets.jslink((slider, "value"), (other, "value"))
        twice = widgets.IntText()
        _ = widgets.dlink((slider, "value"), (twice, "value"), lambda number: 2 * number)
        slider.observe(lambda change: print("now", change["new"]), "value")
        slider.value = {k}
        widgets.HBox([slider, widgets.VBox([other, twice])]), twice.value
        ---
        widgets.HBox([slider, widgets.VBox([other, twice])])
        ---
        out = widgets.Output(layout={{"border": "1px solid"}})
        with out:
            import sys
            print("captured {n}"); display(HTML("<b>{k}</b>")); print("!", file=sys.stderr)
        display(out)
        print("not captured")
        ---
        with out:
            raise ValueError("captured, too {n}")
        ---
        @out.capture(clear_output=True, wait=True)
        def shown(word): print(word); return word
        shown("instead {k}")
        out.append_stdout("appended\\n"); out.outputs
        ---
        bar = widgets.IntProgress(max={n}); display(bar)
        for number in range({n}): bar.value += 1
        button = widgets.Button(description="press")
        button.on_click(lambda one: print("clicked", one.description)); button.click()
        ---
        image = widgets.Image(value=bytes(range({n})), format="png"); image
        ---
        choice = widgets.Dropdown(options=["x", "y"])
        tabs = widgets.Tab([widgets.Text("{n}"), choice], titles=["1", "2"])
        tabs.children[1].value = "z"
        ---
        tabs.selected_index = 1; display(tabs); link.unlink(); other.close(); other
        ---
        from tqdm.notebook import tqdm
        shown = "{{l_bar}}{{bar}}{{n_fmt}}/{{total_fmt}}"  # no times
        for number in tqdm(range({n}), bar_format=shown, desc="{k}"): pass
        """,
    "widgets left behind": """
        import ipywidgets as widgets
        out = widgets.Output(); display(out)
        with out: print("in the first cell")
        ---
        with out: print("in the second cell {n}")
        out.clear_output()
        with out: display(widgets.Label("{k}"))
        ---
        import asyncio
        async def later():
            await asyncio.sleep(0.01); out.append_stdout("later {n}"); label.value = "done"
        label = widgets.HTML("begun"); display(label)
        task = asyncio.ensure_future(later())
        ---
        await task
        ---
        widgets.Widget.close_all(); out
        """,
}
# This one looks whether matplotlib is loaded, so nbbuild has nothing in memory for it (warming.py).
PLAIN["interaction"] = """
    import ipywidgets as widgets
    ---
    @widgets.interact(x=(0, {k}), kind=["a", "b"], on=True, text="t")
    def plot(x, kind, on, text): print(x, kind, on, text); return x * {n}
    ---
    control = widgets.interactive(lambda x: 1 / x, x=widgets.IntSlider(0, 0, 2))
    display(control)
    control.children[0].value = 1; control.result
    """

# Widgets, and what some packages show, have random ids, which are counted instead.
COUNTED = """\
import itertools, uuid
numbers = itertools.count(1); uuid.uuid4 = lambda: uuid.UUID(int=next(numbers))"""

NUMERIC = {
    "numpy": """
        import numpy as np
        rng = np.random.default_rng({n}); np.random.seed({k})
        print(rng.random(3), np.random.rand(2), np.arange({n}).reshape(-1, 1))
        np.linalg.solve(np.eye({n}) * {k}, np.ones({n}))
        ---
        np.array([{n}]) / 0
        ---
        np.ones(({n}, {n})) @ np.ones({k})
        ---
        a = np.random.rand(200, 200); np.allclose(a @ np.linalg.inv(a), np.eye(200))
        """,
    "pandas": """
        import numpy as np, pandas as pd
        frame = pd.DataFrame(np.arange({n} * 30).reshape({n}, 30)).add_prefix("c")
        frame
        ---
        print(frame); pd.options.display.max_columns, pd.get_option("display.width")
        ---
        pd.concat([frame] * {k}).describe()
        ---
        frame.groupby("c0").c1.sum(), pd.Series(["a", None, "{k}"]), frame["missing"]
        ---
        frame.style.highlight_max().to_html(table_uuid="u")
        """,
    "plots": """
        import matplotlib.pyplot as plt
        plt.plot(range({n}), label="{k}"); plt.legend();
        ---
        figure, axes = plt.subplots(1, 2, figsize=(4, 2))
        axes[0].bar(range({n}), range({n})); axes[1].imshow([[0, {k}], [{n}, 1]])
        plt.show()
        print("after the plot")
        ---
        plt.hist([1, {n}, {k}]); plt.title("not shown in this cell"); plt.close()
        figure
        ---
        print(plt.get_backend(), plt.isinteractive(), plt.get_fignums(), plt.rcParams["figure.dpi"])
        plt.rcParams["figure.figsize"]
        """,
    "plots in other ways": """
        import matplotlib
        from matplotlib import pyplot as plt
        plt.ioff(); plt.plot([1, {n}]); print(plt.get_fignums())
        ---
        plt.ion(); plt.plot([{k}, 1])
        plt.savefig("plot-{n}.png", metadata={{"Software": None}})
        ---
        %matplotlib inline
        plt.plot([{k}] * {n}); plt.gcf().canvas.__class__.__module__
        ---
        from matplotlib_inline.backend_inline import set_matplotlib_formats
        set_matplotlib_formats("jpeg"); plt.plot([{n}, 2])
        ---
        import logging; logging.getLogger("matplotlib").warning("through its logger {k}")
        matplotlib.cbook.print_cycles([[]])
        """,
}

NUMERIC["state with packages"] = """
    import logging, os, signal, sys, threading, warnings
    import matplotlib.pyplot as plt, numpy as np, pandas as pd
    print(sorted(sys.modules)); print(list(os.environ))
    print(sorted(map(str, warnings.filters)), logging.root.handlers)
    print(sorted((name, str(one)) for name, one in logging.root.manager.loggerDict.items()))
    print({{one.name: str(signal.getsignal(one)) for one in signal.Signals}}, sys.flags)
    print(plt.rcParams, np.geterr(), np.get_printoptions(), np.getbufsize())
    print(pd.describe_option("display", _print_desc=False), os.getcwd() == os.path.realpath("."))
    ---
    %matplotlib agg
    plt.plot([1, {n}]); print(plt.get_backend(), plt.get_fignums()); plt.show()
    ---
    %config InlineBackend.figure_formats = ["svg", "png"]
    %matplotlib inline
    plt.rcParams["svg.hashsalt"] = "salt"; os.environ["SOURCE_DATE_EPOCH"] = "{n}"
    print(plt.get_backend()); plt.close("all")
    """

ENDINGS = {
    "": "",
    "exit": "print('last')\nexit()",
    "quit early": "exit()\n---\nprint('never {n}')",
    "exit hook": """
        import atexit
        atexit.register(lambda: open("hook-{n}", "w").write("ran"))
        """,
    "file left open": "left = open('left-{n}', 'w'); left.write('text ' * {k})",
    "file left open by a module": """
        %%writefile keeps_{n}.py
        file = open("kept-{n}", "w"); file.write("text")
        ---
        import keeps_{n}
        """,
    "thread at the end": """
        import threading, time
        def late():
            threading.main_thread().join(); open("late-{n}", "w").write("done")
        threading.Thread(target=late).start()
        """,
    "finalizer": """
        import weakref
        class Thing:
            def __del__(self, open=open): open("deleted-{n}", "w").write("yes")
        thing = Thing(); cycle = [thing]; cycle.append(cycle)
        """,
    "death": "import os; os._exit({n})",
    "kill": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "terminate": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "abort": "import os; os.abort()",
    "system exit": "import sys; sys.exit('as a message {n}')",
}


def notebooks(count: int, *, seed: int, numeric: bool) -> list[Compared]:
    """Return `count` notebooks; each theme and each ending comes up as often as the others."""
    modules = ("matplotlib.pyplot", "numpy", "pandas") if numeric else ()
    imports = tuple(Import(0, module) for module in modules)
    themes = (NUMERIC if numeric else PLAIN) | WIDGETS
    return compose(themes, count, seed=seed, imports=lambda cells: imports)


def _counting(texts: Iterable[str]) -> list[str]:
    """Return the cell that makes random ids countable, [] where there are none."""
    whole = "".join(texts)
    if "xarray" in whole:
        return [f"import xarray  # it has ids of its own\n{COUNTED}"]
    return [COUNTED] if "ipywidgets" in whole or "plotly" in whole else []


def compose(
    named: Mapping[str, str],
    count: int,
    *,
    seed: int,
    imports: Callable[[Sequence[str]], tuple[Import, ...]],
) -> list[Compared]:
    """Return `count` notebooks of these themes; `imports` says what their parents have loaded."""
    draw = random.Random(seed)
    themes = list(named.items())
    endings = list(ENDINGS.items())
    draw.shuffle(themes)
    draw.shuffle(endings)
    made = []
    for number in range(count):
        first = themes[number % len(themes)]
        others = draw.sample([one for one in themes if one is not first], draw.randint(0, 2))
        ending, last = endings[number % len(endings)]
        chosen = [first, *others]
        cells = _counting(text for _, text in chosen)
        for _, text in [*chosen, ("", last)]:
            filled = dedent(text).format(n=draw.randint(2, 9), k=draw.randint(10, 99))
            cells += [cell for cell in filled.strip().split("\n---\n") if cell]
        name = " + ".join([*(one for one, _ in chosen), *([ending] if ending else [])])
        # Without, a notebook ends at its first error: often enough the most telling case.
        allow_errors = draw.random() < 0.8
        made.append(Compared(f"{number}: {name}", tuple(cells), allow_errors, imports(cells)))
    return made
