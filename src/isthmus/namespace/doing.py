"""What machines are doing, as core sees it: the state that a role narrowed by `when` is asked for."""

from __future__ import annotations

from isthmus.namespace.live import LiveTable
from isthmus.namespace.model import Asset, Plant
from isthmus.values import status


class Doing:
    """Reads the states of assets from the newest values."""

    def __init__(self, live: LiveTable) -> None:
        self._live = live
        self._known: tuple[Plant | None, dict[str, Asset]] = (None, {})

    def at(self, path: str) -> str:
        """The state of the nearest asset at or above a path whose `production` names one, in the words of the plant file.

        Empty where no asset names a state, or its value is not good: who is narrowed by state may then do nothing.
        """
        plant = self._live.plant
        if self._known[0] is not plant:
            self._known = (plant, {asset.path: asset for asset in plant.assets})
        tag = plant.by_path.get(path)
        at = path if tag is None else tag.asset
        while True:
            asset = self._known[1].get(at)
            if asset is not None and asset.production.get("state") in plant.by_path:
                return self._word(str(asset.production["state"]))
            if not at:
                return ""
            at = at.rpartition("/")[0]

    def _word(self, path: str) -> str:
        rows = self._live.rows_of([path])
        if rows[0] < 0:
            return ""
        found = self._live.read(rows)
        value = found.python()[0]
        if value is None or not status.is_good(found.status)[0]:
            return ""
        if isinstance(value, str):
            return value
        return (self._live.plant.by_path[path].states or {}).get(int(value), "")
