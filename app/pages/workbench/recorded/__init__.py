"""What is recorded of a REPL's terminals and runs, as its page shows it."""
