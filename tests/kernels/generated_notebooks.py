"""Notebooks to compare kernels by: generated from a seed, each with outputs that do not vary.

A notebook is a few *themes* in a random order, with random numbers filled in. The themes are what
kernels do differently when they are not set up quite like a stock one: displays, errors, magics,
processes, threads, loops, plots, and how a kernel ends.
"""

from __future__ import annotations

import random
from textwrap import dedent

from comparing_kernels import Compared

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
        asyncio.run(later(1))
        ---
        async with asyncio.Lock():
            print("locked {n}")
        [x async for x in (i for i in range(3))]
        ---
        await asyncio.wait_for(asyncio.sleep(60), 0.01)
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
        child.start(); print(queue.get()); child.join(); child.exitcode
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
    "state": """
        import builtins, gc, locale, logging, os, sys, warnings
        print(len(sys.argv), [word.rsplit("/", 1)[-1] for word in sys.argv[:2]], len(sys.orig_argv))
        print(sys.path[0] == "", sys.flags, sys.getrecursionlimit(), sys.getswitchinterval())
        print(gc.isenabled(), gc.get_threshold(), locale.setlocale(locale.LC_ALL))
        print([f[:3:2] for f in warnings.filters], logging.root.handlers, logging.root.level)
        print(sorted(set(dir(builtins))), sorted(sys.modules))
        print(sorted(n for n in os.environ if n not in ("OLDPWD",)))
        main = vars(sys.modules["__main__"])
        print(main.get("__file__"), main.get("__spec__"))
        print(sys.stdin.name, sys.__stdout__.line_buffering, os.umask(0o22), os.nice(0))
        """,
    "random": """
        import random
        random.seed({n}); random.random(), random.sample(range(100), 3)
        ---
        import hashlib, uuid, datetime, decimal, fractions
        print(hashlib.sha256(b"{k}").hexdigest(), uuid.UUID(int={n}), decimal.Decimal(1) / {n})
        print(fractions.Fraction({n}, {k}), datetime.date(2020, 1, 1) + datetime.timedelta({n}))
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
}


def notebooks(count: int, *, seed: int, numeric: bool) -> list[Compared]:
    """Return `count` notebooks; each theme and each ending comes up as often as the others."""
    draw = random.Random(seed)
    themes = list((NUMERIC if numeric else PLAIN).items())
    endings = list(ENDINGS.items())
    draw.shuffle(themes)
    draw.shuffle(endings)
    made = []
    for number in range(count):
        first = themes[number % len(themes)]
        others = draw.sample([one for one in themes if one is not first], draw.randint(0, 2))
        ending, last = endings[number % len(endings)]
        cells: list[str] = []
        for _, text in [first, *others, ("", last)]:
            filled = dedent(text).format(n=draw.randint(2, 9), k=draw.randint(10, 99))
            cells += [cell for cell in filled.strip().split("\n---\n") if cell]
        name = " + ".join([first[0], *(one for one, _ in others), *([ending] if ending else [])])
        imports = ("matplotlib.pyplot", "numpy", "pandas") if numeric else ()
        # Without, a notebook ends at its first error: often enough the most telling case.
        made.append(Compared(f"{number}: {name}", tuple(cells), draw.random() < 0.8, imports))
    return made
