"""Quality: inspection plans, control charts (SPC), holds, nonconformances and corrective actions."""
