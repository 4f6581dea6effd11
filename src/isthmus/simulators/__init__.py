"""Protocol servers, and whole plants for demo and tests, each in its own process."""
