"""Python's collector of reference cycles, set for a process that has loaded all it needs and serves from then on."""

import gc

YOUNG_OBJECTS = 20_000  # new ones between two looks: of some dozen requests; Python's own 700 are a part of one


def settle() -> None:
    """Keep what was loaded until now out of the collector's sight, and let it look less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
