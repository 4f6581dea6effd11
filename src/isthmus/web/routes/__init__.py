"""One module per room."""
