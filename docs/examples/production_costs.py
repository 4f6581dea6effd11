# %% [markdown]
# # Samples, orders and costs
#
# What did each order take in time, energy and money? Samples come from the record, figures and orders from production; all of it
# by path and time, so they join. Open this file as a notebook (VS Code, Jupytext, Spyder), or run it as it is. The demo has
# something to say: `isthmus demo --history 90d --data DIR`, then
#
#     export ISTHMUS_URL=http://localhost:8420
#     export ISTHMUS_TOKEN=$(isthmus token create --role viewer --data DIR)

# %%
import os

import pandas as pd

from isthmus.client import connect

plant = connect()
line = os.environ.get("ISTHMUS_LINE", "packaging/line1")
start, end = "now-7d", "now"

# %% [markdown]
# ## What the filler drew, from samples

# %%
drawn = plant.history(f"{line}/filler/power", start=start, end=end, points=2000).pandas()["mean"]
drawn.index = pd.to_datetime(drawn.index, utc=True)

# %% [markdown]
# ## Figures by order, who ordered it, and what the filler drew while it ran

# %%
figures = plant.get("production/oee", under=line, start=start, end=end, by="order")["rows"]
by_order = pd.DataFrame([row["key"] | row for row in figures]).set_index("order")
orders = pd.DataFrame(plant.get("orders", limit=1000)["orders"]).set_index("id")
by_order = by_order.join(orders[["name", "quantity", "state"]]).dropna(subset=["name"])


def energy_kwh(order: str) -> float:
    """Mean power of each run of an order, times how long it was; what lies before the samples is left out."""
    total = 0.0
    for run in plant.get(f"orders/{order}")["runs"]:
        ended = pd.Timestamp(run["end"]) if run["end"] else drawn.index.max()
        during = drawn[pd.Timestamp(run["start"]) : ended]
        if len(during) > 1:
            total += during.mean() * (during.index[-1] - during.index[0]).total_seconds() / 3600
    return total


by_order["kwh"] = [energy_kwh(order) for order in by_order.index]
by_order["run_h"] = by_order["run_s"] / 3600
by_order["lost_h"] = by_order["down_s"] / 3600
by_order["cost_per_1000"] = 1000 * by_order["cost"] / by_order["good"].where(by_order["good"] > 0)
print(
    by_order[["name", "state", "good", "reject", "run_h", "lost_h", "oee", "kwh", "cost", "cost_per_1000"]]
    .round(2)
    .to_string()
)

# %% [markdown]
# ## Hour by hour: bottles and kilowatts

# %%
made = plant.get("production/oee", under=f"{line}/filler", start=start, end=end, by="hour")["rows"]
hours = pd.DataFrame([{"hour": row["key"]["hour"], "good": row["good"]} for row in made])
hours["hour"] = pd.to_datetime(hours["hour"], utc=True)
joined = hours.set_index("hour").join(drawn.resample("1h").mean().rename("kw"))
joined["wh_per_bottle"] = 1000 * joined["kw"] / joined["good"].where(joined["good"] > 0)
print(joined.dropna().tail(8).round(2).to_string())

# %% [markdown]
# ## What the reasons cost

# %%
losses = plant.get("production/losses", under=line, start=start, end=end, by="reason")["rows"]
reasons = pd.DataFrame(losses, columns=["key", "text", "s", "count", "cost"])
reasons["minutes"] = reasons["s"] / 60
print(reasons.sort_values("cost", ascending=False)[["text", "minutes", "count", "cost"]].head(10).round(1).to_string())

plant.close()
