"""Stops with their reasons, which machine stopped a line first, calls for help, and actions against losses with their effect."""
