"""The page of one REPL and its parts."""
