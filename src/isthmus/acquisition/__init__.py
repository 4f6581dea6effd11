"""The edge's room: schedules polls, binds, scales, judges quality, applies deadbands and budgets, tells staleness.

At the edge `service.Acquisition` runs a model: one supervisor per connection, one binder per supervisor, the formulas
over all of them. In core `store.OutageLog` records when connections were away, `model.Heartbeats` which edges live.
"""
