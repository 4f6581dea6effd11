"""Protocols: what a driver, a history reader or a frame sink promises. Nothing here does anything."""
