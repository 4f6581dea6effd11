"""The composition roots: edge, core and the supervisor that starts them."""
