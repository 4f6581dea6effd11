"""The one guarded way back: requests, approvals and recipes in core; gate, trips and leases at the edge."""
