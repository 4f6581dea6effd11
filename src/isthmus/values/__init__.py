"""Values only: samples, frames, status codes, units, clocks, ids, errors, expressions and messages.

Nothing here does I/O and nothing here imports another room.
"""
