"""A REPL's life: what is wanted, what is observed, and the loop that makes them agree. No web and no UI in it."""
