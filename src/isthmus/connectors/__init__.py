"""Ways out: one file per kind of other side. A connector sees values and ports only; who runs it is core's business."""
