"""What XP is worth: the level it makes and what is missing to the next one."""

XP_PER_LEVEL = 100


def level_of(xp: int) -> int:
    """`1 + xp // 100`; `xp` is a total, never negative."""
    return 1 + xp // XP_PER_LEVEL


def xp_to_next(xp: int) -> int:
    """XP that are missing to the next level: 100 at a level's start, never 0."""
    return XP_PER_LEVEL - xp % XP_PER_LEVEL
