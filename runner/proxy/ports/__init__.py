"""What programs in the sandbox serve on their ports, passed on to browsers."""
