"""The ISA-95 model of the plant: plan, apply, versions, permanent tag ids and live values."""
