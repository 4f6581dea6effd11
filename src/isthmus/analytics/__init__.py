"""Rules on live data: conditions over time windows, judged asset by asset as samples arrive; they make events.

`windows` keeps what the windows need in columns, `model` judges rules step by step, `store` keeps events and how far they
go in one transaction, `service` takes frames and finds its place again after a kill.
"""
