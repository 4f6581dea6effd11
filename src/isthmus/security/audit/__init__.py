"""The audit trail: who did what, in a chain of records that cannot be changed unseen."""
