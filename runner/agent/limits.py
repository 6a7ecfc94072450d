"""Resource limits the agent sets on itself, and so on every program it starts, before anything else."""

from __future__ import annotations

import resource

VARIABLE = "DEVEX_RLIMITS"
_PUNCTUATION = str.maketrans(dict.fromkeys('{}[]",:', " "))
_NAMES = {name[7:].lower(): getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}


def parse(text: str) -> dict[str, tuple[int, int]]:
    """`{"nproc": 64, "stack": [8388608, 67108864]}` -> {name: (soft, hard)}; -1 is no limit. ValueError otherwise.

    A flat JSON object of numbers and pairs, read by its words: the `json` module would be a third of the start time.
    """
    numbers: dict[str, list[int]] = {}
    name = ""
    for word in text.translate(_PUNCTUATION).split():
        if word in _NAMES:
            name = word
            numbers[name] = []
        elif not name:
            raise ValueError(f"{word!r} is not the name of a limit")
        else:
            numbers[name].append(int(word))
    if any(len(values) not in {1, 2} for values in numbers.values()):
        raise ValueError("a limit is a number or a pair of soft and hard")
    return {name: (values[0], values[-1]) for name, values in numbers.items()}


def apply(limits: dict[str, tuple[int, int]]) -> None:
    """Lower what is higher; what is already lower stays, for it cannot be raised."""
    for name, (soft, hard) in limits.items():
        _, present = resource.getrlimit(_NAMES[name])
        lowest = _lower(hard, present)
        resource.setrlimit(_NAMES[name], (_lower(soft, lowest), lowest))


def _lower(one: int, other: int) -> int:
    bounded = [value for value in (one, other) if value != resource.RLIM_INFINITY]
    return min(bounded, default=resource.RLIM_INFINITY)
