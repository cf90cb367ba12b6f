"""Themes of notebooks that use twelve packages, and what a build would load for them beforehand.

Each shows what a package could do differently in a process that had it before there was a kernel:
reprs and displays, errors, warnings, seeded numbers, pools and threads, plots, and its own files.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from textwrap import dedent

from comparing_kernels import Compared
from generated_notebooks import WIDGETS, compose

from nbbuild.interpreter.imports import Import, certain_imports
from nbbuild.kernels.warm.nursery import UNSAFE

# A parent loads them in this order: a package comes after those that it needs.
PACKAGES = (
    *("numpy", "pyarrow", "sympy", "networkx", "ipywidgets", "pandas", "scipy", "polars"),
    *("matplotlib", "xarray", "sklearn", "seaborn", "plotly"),
)

REFUSED = {"sympy": "it keeps a generator of random numbers"}
"""sympy draws a number for its dummy symbols as it is imported: all kernels would have the same."""

THEMES = {
    "scipy": """
        import numpy as np
        from scipy import integrate, linalg, optimize, stats
        result = optimize.minimize(optimize.rosen, [{n}, 0.{k}, 1], method="Nelder-Mead")
        print(result.x.round(3)); result
        ---
        np.random.seed({k})
        print(stats.norm.rvs(size=2), stats.gamma({n}).rvs(2, random_state={k}))
        stats.ttest_ind([1, 2, {n}], [3, {k}, 5]), stats.describe(range({k}))
        ---
        linalg.inv(np.zeros(({n}, {n})))
        ---
        linalg.solve([[1, 1], [1, 1 + 1e-17 * {n}]], [1, {k}])
        ---
        linalg.solve([[1, 1], [1, 1 + 1e-15]], [1, {k}])
        ---
        integrate.quad(lambda x: 1 / x, -1, {n}), integrate.quad(np.sin, 0, {n})
        """,
    "scipy's pools": """
        import numpy as np, scipy.fft, scipy.optimize
        wave = np.random.default_rng({n}).random((64, 256))
        np.allclose(scipy.fft.ifft(scipy.fft.fft(wave, workers=2), workers=2), wave)
        ---
        def valley(x): return float(np.sum((x - {n}) ** 2))
        import multiprocessing
        chosen = dict(seed={n}, updating="deferred", maxiter=3, polish=False)
        with multiprocessing.get_context("fork").Pool(2) as pool:
            found = scipy.optimize.differential_evolution(
                valley, [(0, {k})] * 2, workers=pool.map, **chosen)
        found.x, found.nfev
        ---
        from concurrent.futures import ThreadPoolExecutor
        from scipy import linalg
        squares = [np.random.default_rng(i).random((120, 120)) for i in range(4)]
        with ThreadPoolExecutor(2) as pool:
            print([round(float(np.abs(one).sum()), 3) for one in pool.map(linalg.inv, squares)])
        """,
    "scipy's files": """
        import numpy as np, os
        from scipy import io, ndimage, signal, sparse, spatial
        io.savemat("mat-{n}.mat", {{"a": np.arange({k}), "b": "text"}})
        read = io.loadmat("mat-{n}.mat"); os.remove("mat-{n}.mat")  # it holds the time
        sorted(read), read["a"].shape
        ---
        io.wavfile.write("tone-{n}.wav", 8000, np.arange({k}, dtype=np.int16))
        io.wavfile.read("tone-{n}.wav")
        ---
        matrix = sparse.random({n}, 7, density=0.3, format="csr", random_state={k})
        print(matrix); sparse.save_npz("sparse-{n}.npz", matrix); matrix
        ---
        sparse.linalg.spsolve(sparse.csc_matrix(([0.0], ([0], [0])), (2, 2)), np.ones(2))
        ---
        print(ndimage.gaussian_filter(np.eye(3), 1).round(3), signal.butter({n}, 0.3)[0].round(6))
        spatial.KDTree(np.arange({k} * 2).reshape(-1, 2)).query([[{n}, 1]])
        ---
        io.loadmat("none-{n}.mat")
        """,
    "scikit-learn": """
        import numpy as np
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.datasets import make_classification
        X, y = make_classification({k}, n_features=5, random_state={n})
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.{n}))
        model
        ---
        model.predict(X)
        ---
        model.fit(X, y); print(model.score(X, y), model[-1].coef_.round(4)); model
        ---
        LogisticRegression(max_iter=1, tol=1e-9).fit(X * {k}, y)
        ---
        model.fit(X, y[:-{n}])
        """,
    "scikit-learn's pools": """
        import joblib
        from sklearn.datasets import load_iris
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.model_selection import cross_val_score, train_test_split
        data = load_iris(as_frame=False)
        forest = RandomForestClassifier({k}, random_state={n}, n_jobs=2).fit(data.data, data.target)
        forest.feature_importances_.round(5)
        ---
        cross_val_score(forest, data.data, data.target, cv=3, n_jobs=2).round(4)
        ---
        print(joblib.Parallel(n_jobs=2)(joblib.delayed(pow)(i, {n}) for i in range(4)))
        joblib.Parallel(2, prefer="threads")(joblib.delayed(divmod)(i, 0) for i in range(2))
        ---
        from sklearn.cluster import KMeans
        joblib.dump(KMeans({n}, random_state={k}, n_init=2).fit(data.data), "model-{n}.joblib")
        round(joblib.load("model-{n}.joblib").inertia_, 3)
        """,
    "scikit-learn with frames": """
        import numpy as np, pandas as pd
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import SimpleImputer
        from sklearn.preprocessing import OneHotEncoder
        frame = pd.DataFrame({{"a": [1, None, {n}], "b": ["x", "y", "x"]}})
        encoder = OneHotEncoder(sparse_output=False)
        parts = [("one", encoder, ["b"]), ("two", SimpleImputer(), ["a"])]
        columns = ColumnTransformer(parts).set_output(transform="pandas")
        columns.fit_transform(frame)
        ---
        columns.transform(frame.rename(columns={{"b": "c{k}"}}))
        ---
        from sklearn.decomposition import PCA
        PCA(2, random_state={n}).fit(np.random.default_rng({k}).random((20, 4)))
        """,
    "polars": """
        import polars as pl
        frame = pl.DataFrame({{"g": ["a", "b", "a"], "x": [1, {n}, {k}], "y": [0.5, None, {n}.5]}})
        frame
        ---
        print(frame.describe()); frame.lazy().filter(pl.col("x") > {n}).select("g")
        ---
        frame.lazy().group_by("g").agg(pl.col("x").sum(), pl.len()).sort("g").collect()
        ---
        frame.write_parquet("p-{n}.parquet"); frame.write_csv("p-{n}.csv")
        pl.scan_parquet("p-{n}.parquet").collect(), pl.read_csv("p-{n}.csv").schema
        ---
        frame["none"]
        ---
        frame.select(pl.col("g") + {k} * pl.col("y"), pl.col("missing"))
        ---
        pl.Series("s", range({k})).sample(3, seed={n}), pl.read_csv("none-{n}.csv")
        ---
        pl.select(pl.int_range(0, 100000) * {n}).sum().item(), pl.thread_pool_size() > 0
        """,
    "polars with others": """
        import pandas as pd, pyarrow as pa
        import polars as pl
        frame = pl.from_pandas(pd.DataFrame({{"a": range({n}), "b": list("xyz" * 9)[:{n}]}}))
        print(frame.to_arrow().schema); frame.to_pandas()
        ---
        pl.from_arrow(pa.table({{"x": [1, None, {k}]}})), frame["a"].to_numpy()
        ---
        from concurrent.futures import ThreadPoolExecutor
        def total(n): return pl.DataFrame({{"a": range(n)}}).sum().item()
        with ThreadPoolExecutor(2) as pool: print(list(pool.map(total, range(1, {n}))))
        """,
    "pyarrow": """
        import pyarrow as pa
        import pyarrow.compute as pc
        words = pa.array(["é", None, "{k}"], pa.dictionary(pa.int8(), pa.utf8()))
        table = pa.table({{"n": range({n}, {n} + 3), "t": words}})
        print(table.schema); table
        ---
        pc.sum(table["n"]), pc.value_counts(pa.array([1, 1, {k}])), pa.scalar({n})
        ---
        pa.array([1, "two", {n}])
        ---
        table.select(["none"])
        ---
        pa.array([{k}]).cast(pa.date32()).cast(pa.utf8()), pa.__version__, pa.cpu_count()
        ---
        table.group_by("t").aggregate([("n", "sum")]).to_pydict()
        """,
    "pyarrow's files": """
        import pyarrow as pa, pyarrow.csv, pyarrow.dataset, pyarrow.feather
        import pyarrow.parquet as pq
        table = pa.table({{"x": range({k}), "p": [i % 3 for i in range({k})]}})
        pq.write_table(table, "t-{n}.parquet", row_group_size={n})
        print(pq.read_metadata("t-{n}.parquet").num_row_groups)
        pq.ParquetFile("t-{n}.parquet").schema_arrow
        ---
        pa.csv.write_csv(table, "t-{n}.csv"); pa.feather.write_feather(table, "t-{n}.feather")
        pa.csv.read_csv("t-{n}.csv").equals(table), pa.feather.read_table("t-{n}.feather").shape
        ---
        pa.dataset.write_dataset(table, "parts-{n}", format="parquet", partitioning=["p"])
        parts = pa.dataset.dataset("parts-{n}", partitioning=["p"])
        parts.count_rows(), parts.to_table(filter=pa.dataset.field("p") == 1)["x"].to_pylist()
        ---
        with open("bad-{n}.parquet", "w") as file: file.write("not parquet {k}")
        pq.read_table("bad-{n}.parquet")
        ---
        pq.read_table("none-{n}.parquet")
        ---
        import multiprocessing
        def rows(name): return pq.read_table(name, use_threads=False).num_rows
        with multiprocessing.get_context("fork").Pool(2) as pool:
            print(pool.map(rows, ["t-{n}.parquet"] * 2))
        """,
    "pyarrow with pandas": """
        import numpy as np, pandas as pd, pyarrow as pa
        frame = pd.DataFrame({{"a": np.arange({n}), "when": pd.date_range("2020", periods={n})}})
        frame.to_parquet("f-{n}.parquet"); frame.to_feather("f-{n}.feather")
        print(pd.read_parquet("f-{n}.parquet").dtypes); pd.read_feather("f-{n}.feather")
        ---
        words = pd.Series(["a", None, "{k}"], dtype="string[pyarrow]"); words.str.upper()
        ---
        pd.Series([1, None, {n}], dtype=pd.ArrowDtype(pa.int64())) + {k}
        ---
        frame.to_csv("f-{n}.csv", index=False)
        pd.read_csv("f-{n}.csv", engine="pyarrow", dtype_backend="pyarrow").dtypes
        ---
        pa.Table.from_pandas(pd.DataFrame({{"mixed": [1, "x{k}"]}}))
        """,
    "pandas": """
        import numpy as np, pandas as pd
        frame = pd.DataFrame(np.random.default_rng({n}).random((3, {n})).round(3))
        frame.to_json("j-{n}.json"); frame.to_pickle("p-{n}.pickle"); frame.to_html("h-{n}.html")
        pd.read_json("j-{n}.json"), pd.read_pickle("p-{n}.pickle").equals(frame)
        ---
        frame.sample(2, random_state={k}), frame.rolling(2).mean(), frame.corr()
        ---
        pd.to_datetime(["2020-01-{n}", "no date {k}"])
        ---
        part = frame[frame[0] > 0]; part["new"] = {k}; part.shape
        ---
        print(pd.Timestamp("2020-01-0{n}", tz="Asia/Tokyo"))
        pd.to_datetime(["01.02.2020", "13.0{n}.2020"])
        ---
        frame.merge(frame, on="none"), frame.query("a ==")
        """,
    "sympy": """
        import sympy
        from sympy import Matrix, Symbol, integrate, latex, oo, solve, symbols
        x, y = symbols("x y")
        integrate(x ** {n} * sympy.exp(-x), (x, 0, oo)), solve(x ** 2 - {k}, x)
        ---
        (x + y) ** {n}
        ---
        sympy.init_printing(use_latex="mathjax"); sympy.sqrt({k}) / x
        ---
        print(latex(sympy.series(sympy.sin({n} * x), x, 0, 6)))
        Matrix(2, 2, [x, {n}, y, {k}]).inv()
        ---
        Matrix([[1, 1], [1, 1]]).inv()
        ---
        sympy.sympify("{n} x +"), Symbol({k})
        ---
        sympy.srepr(sympy.factorint({k} ** {n})), sympy.N(sympy.pi, {k}), sympy.nsimplify(0.{n})
        """,
    "sympy's numbers": """
        import numpy as np, sympy
        from sympy.core.random import random_complex_number, seed
        seed({n}); print(random_complex_number(), sympy.randMatrix(2, seed={k}))
        ---
        x = sympy.Symbol("x")
        function = sympy.lambdify(x, sympy.cos(x) ** {n}, "numpy")
        function(np.array([0, 0.{k}])).round(12), sympy.nextprime({k} ** {n}), sympy.isprime({k})
        ---
        seed({k}); print(sympy.sin({n} * x).equals(sympy.cos(x)), sympy.primefactors({k}))
        sympy.Poly(x ** {n} - 1, x, modulus=7).factor_list()
        """,
    "networkx": """
        import networkx as nx
        graph = nx.gnp_random_graph({k}, 0.2, seed={n}); print(graph)
        nx.average_clustering(graph), sorted(nx.degree_centrality(graph).items())[:{n}]
        ---
        nx.shortest_path(nx.path_graph({n}), 0, {k})
        ---
        nx.write_graphml(graph, "g-{n}.graphml"); nx.write_gml(graph, "g-{n}.gml")
        print(nx.read_graphml("g-{n}.graphml"))
        nx.read_gml("g-{n}.gml", destringizer=int).number_of_edges()
        ---
        nx.shortest_path(nx.Graph([(1, 2), (3, {k})]), 1, 3)
        ---
        list(nx.community.louvain_communities(graph, seed={k})), nx.center(nx.path_graph({n}))
        ---
        nx.write_network_text(nx.balanced_tree(2, 2)), nx.config
        """,
    "networkx with others": """
        import networkx as nx, numpy as np, pandas as pd
        import matplotlib.pyplot as plt
        graph = nx.karate_club_graph()
        nx.draw(graph, nx.spring_layout(graph, seed={n}), node_size={k}); plt.title("{k}");
        ---
        nx.to_pandas_edgelist(graph).head({n}), nx.to_numpy_array(graph).sum()
        ---
        np.random.seed({k}); print(nx.fast_gnp_random_graph({n}, 0.5, seed=np.random))
        np.linalg.eigvalsh(nx.to_numpy_array(nx.cycle_graph({n}))).round(6)
        """,
    "seaborn": """
        import numpy as np, pandas as pd, seaborn as sns
        rng = np.random.default_rng({n})
        frame = pd.DataFrame(rng.random(({k}, 2)), columns=["x", "y"])
        frame["g"] = list("ab" * {k})[:{k}]
        sns.scatterplot(frame, x="x", y="y", hue="g")
        ---
        sns.set_theme(style="whitegrid"); sns.histplot(frame, x="x", kde=True);
        ---
        sns.barplot(frame, x="g", y="y", seed={n})
        ---
        sns.color_palette("deep", {n})
        ---
        sns.lineplot(frame, x="none", y="y")
        ---
        import seaborn.objects as so
        so.Plot(frame, x="x", y="y").add(so.Dot(), color="g")
        ---
        sns.heatmap(rng.random((3, {n})), annot=True).figure.savefig(
            "heat-{n}.png", metadata={{"Software": None}})
        """,
    "seaborn's grids": """
        import matplotlib.pyplot as plt
        import numpy as np, pandas as pd, seaborn as sns
        rng = np.random.default_rng({n})
        frame = pd.DataFrame(rng.random((20, 2)), columns=["a", "b"]).assign(g=list("xy") * 10)
        sns.pairplot(frame, hue="g", height=1.5)
        ---
        sns.relplot(frame, x="a", y="b", col="g", height=2); plt.show()
        ---
        sns.distplot(frame["a"])
        ---
        sns.regplot(frame, x="a", y="b", seed={k}, n_boot=20); plt.rcParams["axes.prop_cycle"]
        """,
    "plotly": """
        import plotly.graph_objects as go
        figure = go.Figure(go.Bar(x=["a", "b"], y=[{n}, {k}]))
        print(figure); figure.to_dict()
        ---
        go.Scatter(x=[1], nonsense={n})
        ---
        figure.update_layout(title="t {k}", colour="red")
        ---
        figure.write_json("fig-{n}.json")
        figure.write_html("fig-{n}.html", include_plotlyjs="cdn", div_id="d{n}")
        import plotly.io
        plotly.io.read_json("fig-{n}.json").data[0].y, plotly.io.renderers.default
        ---
        len(figure.to_json()), figure.full_figure_for_development
        """,
    "plotly shown": """
        import pandas as pd, plotly.express as px
        import plotly.io as pio
        frame = pd.DataFrame({{"x": range({n}), "y": [i * {k} for i in range({n})]}})
        px.line(frame, x="x", y="y")
        ---
        pio.templates.default = "plotly_white"; px.scatter(frame, x="x", y="y", color="y").show()
        ---
        px.line(frame, x="none")
        ---
        pio.renderers.default = "png"; pio.renderers
        """,
    "xarray": """
        import numpy as np, pandas as pd, xarray as xr
        when = pd.date_range("2020", periods={n})
        array = xr.DataArray(np.arange({n} * 2.0).reshape({n}, 2),
                             dims=("t", "x"), coords={{"t": when}}, name="a{k}")
        array
        ---
        print(array.mean("t")); array.to_dataset().assign_attrs(made="{k}")
        ---
        array.sel(t="1999-01-01")
        ---
        array.sel(nonsense={n})
        ---
        array.to_dataset().to_netcdf("a-{n}.nc", engine="scipy")
        xr.open_dataset("a-{n}.nc", engine="scipy").load()
        ---
        array.groupby("t.month").mean(), array.to_pandas(), xr.get_options()["display_style"]
        ---
        xr.open_dataset("none-{n}.nc")
        """,
    "xarray with others": """
        import matplotlib.pyplot as plt
        import numpy as np, xarray as xr
        wave = xr.DataArray(np.sin(np.linspace(0, {n}, {k})), dims="x", attrs={{"units": "m"}})
        wave.plot(); plt.show()
        ---
        grid = xr.DataArray(np.random.default_rng({n}).random((3, 4)), dims=("y", "x"))
        grid.plot.imshow(); grid.interp(x=[0.5, 1.{k}]).round(6)
        ---
        print(xr.merge([wave.rename("w"), grid.rename("g").drop_isel(x=0)], join="exact"))
        ---
        wave.rolling(x=3).mean().dropna("x").values[:2].round(6), xr.set_options(keep_attrs=True)
        """,
    "threads of numbers": """
        import numpy as np, pandas as pd, pyarrow as pa
        from scipy import linalg
        big = np.random.default_rng({n}).random((400, 400))
        np.allclose(big @ linalg.inv(big), np.eye(400)), np.linalg.matrix_rank(big)
        ---
        import multiprocessing, os
        def work(n): return int(np.linalg.matrix_rank(big[:n, :n])), len(pa.array(range(n)))
        with multiprocessing.get_context("fork").Pool(2) as pool: print(pool.map(work, [{n}, {k}]))
        ---
        def end(): os._exit(int(pd.Series([{n}] * 3).sum()))
        child = multiprocessing.get_context("fork").Process(target=end); child.start(); child.join()
        child.exitcode
        ---
        print(pa.table({{"x": big[0]}}).to_pandas()["x"].sum().round(6))
        pd.DataFrame(big).std().sum().round(4)
        """,
    "state with packages": """
        import numpy as np, pyarrow as pa, sympy, networkx as nx, pandas as pd, scipy.stats
        import matplotlib.pyplot as plt, xarray as xr, seaborn as sns, plotly.graph_objects as go
        import copyreg, gc, locale, logging, os, signal, sys, threading, warnings
        print(sorted(sys.modules)); print(list(os.environ))
        print(sorted(map(str, warnings.filters)), logging.root.handlers)
        print(sorted((name, str(one)) for name, one in logging.root.manager.loggerDict.items()))
        print({{one.name: str(signal.getsignal(one)) for one in signal.Signals}}, sys.flags)
        print(plt.rcParams, np.geterr(), np.get_printoptions(), xr.get_options(), nx.config)
        print(pd.describe_option("display", _print_desc=False), pa.io_thread_count())
        print(threading.active_count(), locale.getlocale(), sys.getrecursionlimit(), sys.meta_path)
        print(sorted(map(str, copyreg.dispatch_table)), gc.get_threshold())
        ---
        formatters = get_ipython().display_formatter.formatters
        print({{name: sorted(map(str, one.type_printers)) for name, one in formatters.items()}})
        print({{name: sorted(map(str, one.deferred_printers)) for name, one in formatters.items()}})
        ---
        import sys
        stages = [np.random.get_state()[0], scipy.stats.norm.random_state is np.random.mtrand._rand]
        stages, go.Figure().layout.template.layout.colorway, sns.axes_style()["axes.facecolor"]
        """,
}


def loaded_beforehand(cells: Sequence[str]) -> tuple[Import, ...]:
    """Return what a parent of a notebook with these cells has loaded.

    It is more than a build would dare, which takes what comes before anything that could notice.
    """
    found: dict[Import, None] = {}
    for cell in cells:
        found.update(dict.fromkeys(certain_imports(cell)))
        if "sys.modules" in cell:
            break  # what is imported later would be seen there: decision 0014
    fit = [one for one in found if _top(one) in PACKAGES and _top(one) not in UNSAFE]
    return tuple(sorted(fit, key=lambda one: PACKAGES.index(_top(one))))


def package_notebooks(
    count: int, *, seed: int, packages: Collection[str] = PACKAGES
) -> list[Compared]:
    """Return `count` notebooks that use these packages, and no others of the twelve."""
    every = {**THEMES, **WIDGETS}
    themes = {name: text for name, text in every.items() if _imported(text) <= set(packages)}
    made = compose(themes, count, seed=seed, imports=loaded_beforehand)
    return [replace(one, refused=_refused(one.imports)) for one in made]


def _imported(theme: str) -> set[str]:
    cells = dedent(theme).format(n=2, k=10).strip().split("\n---\n")
    return {_top(one) for cell in cells for one in certain_imports(cell)} & set(PACKAGES)


def _refused(imports: tuple[Import, ...]) -> tuple[tuple[str, str], ...]:
    modules = dict.fromkeys(one.module for one in imports)
    tops = {module: module.partition(".")[0] for module in modules}
    return tuple((module, REFUSED[top]) for module, top in tops.items() if top in REFUSED)


def _top(one: Import) -> str:
    return one.module.partition(".")[0]
