"""A form that answers to a route."""

from components.form.form import Field, Form

__all__ = ["Field", "Form"]
