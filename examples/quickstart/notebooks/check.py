# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Are the readings complete?
#
# Each town should have twelve months. A reading may be missing, but not many.

# %%
import csv
from collections import Counter
from pathlib import Path

with Path("../data/temperatures.csv").open(newline="") as file:
    rows = list(csv.DictReader(file))

months = Counter(row["town"] for row in rows)
print(dict(months))

# %%
assert set(months.values()) == {12}, "a town has too few or too many months"

# %%
missing = [(row["town"], row["month"]) for row in rows if not row["mean_c"]]
assert len(missing) <= 2, f"too many gaps: {missing}"
print("missing:", missing)
