"""What terminals have written, kept on disk after they are gone."""
