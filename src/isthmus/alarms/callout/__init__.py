"""Call-out: who is told of an alarm, by which way, after how long, until somebody acknowledges it.

It hears every change of every alarm, gathers those that come together into one call, walks each call along the steps of its
rule, and keeps what is to be delivered in the records until it is delivered.
"""
