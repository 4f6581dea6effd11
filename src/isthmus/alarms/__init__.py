"""ISA-18.2 alarms: limits and conditions judged on every batch, the life cycle of each alarm, its journal, and who is called out."""
