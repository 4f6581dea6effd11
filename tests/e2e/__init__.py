"""The one command, then a browser. A package, so that its systems run for these tests only (pytest's package scope)."""
