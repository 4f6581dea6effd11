"""Who may do what: identity, sessions and tokens. Everything is denied that a role is not given."""
