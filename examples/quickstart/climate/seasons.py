"""Which months make a season, north of the equator."""

SEASONS = {
    "winter": (12, 1, 2),
    "spring": (3, 4, 5),
    "summer": (6, 7, 8),
    "autumn": (9, 10, 11),
}


def season_of(month: int) -> str:
    """Return the season of a month, which counts from 1.

    Raises ValueError for a number that is no month.
    """
    for season, months in SEASONS.items():
        if month in months:
            return season
    raise ValueError(f"no month has the number {month}")
