"""Events, one module per room that says them. Events are facts: past tense, many may listen, none may refuse."""
