"""These tests share their conftest by name."""
