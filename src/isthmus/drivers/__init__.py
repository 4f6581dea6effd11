"""One file (or small package) per protocol."""
