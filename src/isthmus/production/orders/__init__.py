"""Orders: what is made, of what, by which steps and whom; lots, their stock and where they went; readings by hand."""
