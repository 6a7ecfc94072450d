"""How much work one sandbox may make for the server that all of them share. Pure: time is passed in."""

RATE_PER_S = 128 * 1000 * 1000  # bytes; a PTY gives less
BURST = 8 * 1000 * 1000
FRAME_COST = 4096  # bytes that cost as much time as a frame does by itself: 30 000 tiny frames a second take a fifth
FIELD_COST = 128  # the same of a byte that is not output but fields to be decoded, as in a list of ports


class Budget:
    """A token bucket that may go into debt; the debt is how long to leave the sandbox unread."""

    def __init__(self, now_s: float, rate_per_s: float = RATE_PER_S, burst: float = BURST) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._left = burst
        self._at_s = now_s

    def spend(self, frames: int, output_bytes: int, field_bytes: int, now_s: float) -> float:
        """-> seconds to wait before reading on."""
        self._left = min(self._burst, self._left + (now_s - self._at_s) * self._rate_per_s)
        self._at_s = now_s
        self._left -= frames * FRAME_COST + output_bytes + field_bytes * FIELD_COST
        return max(0.0, -self._left / self._rate_per_s)
