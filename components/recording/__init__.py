"""What a terminal wrote, shown after its end."""

from components.recording.recording import Recording

__all__ = ["Recording"]
