"""Key performance indicators: one catalogue with formula, unit, source, owner and targets, and their values from facts."""
