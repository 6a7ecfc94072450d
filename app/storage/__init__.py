"""The database: what is kept in it, how it is opened and brought up to date, and the Repls in it."""
