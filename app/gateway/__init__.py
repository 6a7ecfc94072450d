"""The door of the application: every request and socket passes it, and it decides who may before it hands on."""
