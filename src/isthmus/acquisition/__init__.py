"""The edge's room: schedules polls, binds, scales, judges quality, applies deadbands and budgets, tells staleness."""
