"""An answer of history, in the form a notebook wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class History:
    """Rows of history as an Arrow table; its columns are tag (the path), time, and what the shape has.

    Every sample: value, status. Bounded: first, min, max, last, mean, count, bad_s. Aggregate: the functions.
    """

    arrow: Any
    paths: Sequence[str]

    def __len__(self) -> int:
        return int(self.arrow.num_rows)

    def numpy(self, path: str = "", column: str = "") -> tuple[NDArray[np.datetime64], NDArray[Any]]:
        """Times (UTC) and values of one tag; the only one when no path is said.

        ``column`` is value, or mean of buckets, unless said. Shapes: (n,), (n,). Numbers that are missing are NaN.
        """
        table = self._of(path)
        name = column or next(n for n in ("value", "mean", *table.schema.names[2:]) if n in table.schema.names)
        values = table[name].to_numpy()
        return table["time"].to_numpy().astype("datetime64[ns]"), values

    def pandas(self) -> pd.DataFrame:
        """A table with the time as its index. Needs pandas."""
        frame: pd.DataFrame = self.arrow.to_pandas(strings_to_categorical=False)
        return frame.set_index("time")

    def wide(self, column: str = "") -> pd.DataFrame:
        """One column a tag, one row a time; NaN where a tag has nothing then. Needs pandas."""
        names = self.arrow.schema.names
        name = column or ("value" if "value" in names else "mean")
        frame: pd.DataFrame = self.arrow.select(["tag", "time", name]).to_pandas()
        wide = frame.pivot_table(index="time", columns="tag", values=name, aggfunc="last", observed=True)
        return wide.reindex(columns=list(self.paths))

    def _of(self, path: str) -> Any:
        import pyarrow.compute as pc

        if not path and len(self.paths) > 1:
            raise ValueError(f"say which tag: {', '.join(self.paths[:5])}")
        wanted = path or self.paths[0]
        if wanted not in self.paths:
            raise ValueError(f"{wanted} was not asked for")
        return self.arrow.filter(pc.equal(self.arrow["tag"].cast("string"), wanted))
