"""The web application: who is asking, which page, which route."""
