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
# # One side of the mountain
#
# The readings are invented, and so is the mountain.

# %%
import csv
from pathlib import Path

# %% tags=["parameters"]
side = "north"

# %%
made = Path("../_build")
with (made / "readings.csv").open(newline="") as file:
    readings = [float(row["mean_c"]) for row in csv.DictReader(file) if row["side"] == side]
mean = sum(readings) / len(readings)
print(f"{len(readings)} readings")

# %%
(made / f"{side}.txt").write_text(f"{side}: {mean:.1f} °C\n", encoding="utf-8")
