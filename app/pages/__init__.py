"""NiceGUI's pages and the application that serves them. They decide what is shown; app.access what is allowed."""
