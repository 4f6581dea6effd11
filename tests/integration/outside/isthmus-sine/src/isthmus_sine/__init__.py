"""A driver and a connector that Isthmus finds by their entry points."""
