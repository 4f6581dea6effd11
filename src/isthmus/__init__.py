"""Isthmus: the land bridge between operational technology and information technology."""

__version__ = "0.1.0"
