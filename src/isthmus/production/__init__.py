"""Production: calendars, states and losses, OEE with its lineage, stops, orders, and what people answer."""
