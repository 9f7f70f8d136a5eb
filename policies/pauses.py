"""How long to stay away from a system that refused. Times are nanoseconds."""

_SECOND_NS = 1_000_000_000


class Pauses:
    """How long to stay away after a refusal: as long as was asked, and longer if asking again is refused again.

    The first refusal after a fine call is believed as it stands. A probe that is refused, too, though the time told
    was over, shows that this time means little: from then on it is at least `floor`, doubled each time, to `cap`.
    """

    def __init__(self, floor_ns: int = _SECOND_NS, cap_ns: int = 60 * _SECOND_NS) -> None:
        self._floor_ns, self._cap_ns = floor_ns, cap_ns
        self._in_a_row = 0

    def after(self, asked_ns: int | None, was_probe: bool, unknown_ns: int = 5 * _SECOND_NS) -> int:
        """Nanoseconds to stay away after this refusal. `asked_ns`: what the system said; if nothing, `unknown_ns`."""
        self._in_a_row = self._in_a_row + 1 if was_probe else 0
        least = 0 if self._in_a_row == 0 else min(self._cap_ns, self._floor_ns << min(self._in_a_row - 1, 30))
        if asked_ns is not None:
            return max(asked_ns, least)
        return max(min(self._cap_ns, unknown_ns << min(self._in_a_row, 30)), least)

    def fine(self) -> None:
        """A call was taken."""
        self._in_a_row = 0
