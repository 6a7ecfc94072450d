"""What is in the REPLs of these tests, and how much fits."""

KEPT = "what was there before\n"
DISK_MIB = 160  # of a REPL: a file of 100 MB fits, and is soon too much
POOR_DISK_MIB = 48  # of a whole machine
