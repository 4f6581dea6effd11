"""The public API, the live stream and the built screens."""
