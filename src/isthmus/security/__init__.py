"""Who may do what: identity, sessions and tokens."""
