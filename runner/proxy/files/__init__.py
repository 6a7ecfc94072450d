"""The routes to the files of a workspace."""
