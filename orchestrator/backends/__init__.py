"""Where sandboxes run. `base` says what every backend promises; each backend is a module or package beside it."""
