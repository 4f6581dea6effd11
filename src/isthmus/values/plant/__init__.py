"""The sections of the plant file, one module per room that contributes one."""
