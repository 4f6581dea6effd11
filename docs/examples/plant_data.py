# %% [markdown]
# # Plant data in a notebook
#
# Open this file as a notebook (VS Code, Jupytext, Spyder), or run it as it is. It asks a running Isthmus:
#
#     export ISTHMUS_URL=http://localhost:8420
#     export ISTHMUS_TOKEN=$(isthmus token create --role viewer --data DIR)

# %%
from itertools import islice

from isthmus.client import WriteRefused, connect

plant = connect()
site = plant.site()
print(f"{site['enterprise']}/{site['site']}, plant version {site['model_version']}")

# %% [markdown]
# ## Which tags are there?

# %%
numbers = [tag for tag in plant.tags() if tag.type != "text" and not tag.raw["states"]]
newest = plant.values()
for tag in numbers[:10]:
    value = newest[tag.path]
    print(f"{tag.path:<50} {value.value} {tag.unit} {value.status}")

# %% [markdown]
# ## What did they do? In buckets, as fast as a trend asks for it

# %%
with_samples = [tag.path for tag in numbers if newest[tag.path].time] or [tag.path for tag in numbers]
paths = with_samples[:4]
day = plant.history(paths, start="now-1d", points=200)
frame = day.pandas()
print(frame.groupby("tag", observed=True)[["min", "mean", "max"]].agg({"min": "min", "mean": "mean", "max": "max"}))

# %% [markdown]
# ## Every sample, as numpy

# %%
hour = plant.history(paths[0], start="now-1h")
times, values = hour.numpy()
print(f"{len(times)} samples of {paths[0]} in the last hour")

# %% [markdown]
# ## How do they move together? One column a tag

# %%
wide = day.wide().ffill()
print(wide.corr().round(2))

# %% [markdown]
# ## What happens now? The live stream says what is, then what changes

# %%
for update in islice(plant.live(paths), 1):
    print(update.time, update.path, update.value, "good" if update.good else hex(update.status))

# %% [markdown]
# ## May I change something? Only by the guarded way, which says no with its reason

# %%
try:
    plant.write(paths[0], 42.0, reason="trying the example")
except WriteRefused as refused:
    print(f"refused ({refused.code}): {refused.reason}")

plant.close()
