"""What the plant file says about keeping history."""

from __future__ import annotations

DEFAULT_RETENTION_DAYS = 400
"""How long the class `standard` is kept unless the file says otherwise."""
