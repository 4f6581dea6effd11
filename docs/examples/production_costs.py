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
# ## Figures by order, and who ordered it

# %%
answer = plant.get("production/oee", under=line, start=start, end=end, by="order")
figures = pd.DataFrame([row["key"] | row for row in answer["rows"]])
orders = pd.DataFrame(plant.get("orders")["orders"], columns=["id", "product", "name", "quantity", "state", "due"])
by_order = figures.merge(orders, left_on="order", right_on="id", how="left")
by_order["name"] = by_order["name"].fillna("no order")
by_order["run_h"] = by_order["run_s"] / 3600
by_order["lost_h"] = by_order["down_s"] / 3600
by_order["cost_per_1000"] = 1000 * by_order["cost"] / by_order["good"].where(by_order["good"] > 0)
print(
    by_order[["order", "name", "good", "reject", "run_h", "lost_h", "oee", "cost", "cost_per_1000"]]
    .round(2)
    .to_string(index=False)
)

# %% [markdown]
# ## What the machine drew, hour by hour, beside what it made

# %%
power = f"{line}/filler/power"
drawn = plant.history(power, start=start, end=end, points=168).pandas()
made = plant.get("production/oee", under=f"{line}/filler", start=start, end=end, by="hour")
hours = pd.DataFrame([{"time": row["key"]["hour"], "good": row["good"]} for row in made["rows"]])
hours["time"] = pd.to_datetime(hours["time"], utc=True)
drawn["time"] = pd.to_datetime(drawn["time"], utc=True)
joined = pd.merge_asof(drawn.sort_values("time"), hours.sort_values("time"), on="time", tolerance=pd.Timedelta("1h"))
print(joined[["time", "mean", "good"]].dropna().tail(8).to_string(index=False))

# %% [markdown]
# ## What the reasons cost

# %%
losses = plant.get("production/losses", under=line, start=start, end=end, by="reason")
reasons = pd.DataFrame(losses["rows"], columns=["key", "text", "s", "count", "cost"])
reasons["minutes"] = reasons["s"] / 60
print(
    reasons.sort_values("cost", ascending=False)[["text", "minutes", "count", "cost"]]
    .head(10)
    .round(1)
    .to_string(index=False)
)

plant.close()
