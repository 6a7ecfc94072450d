"""REPLs as pods."""
