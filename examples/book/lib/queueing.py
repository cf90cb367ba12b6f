"""A queue at a desk: people arrive, wait for the next free counter, are served, and leave."""

import heapq
import random


def arrivals(people, *, gap, seed):
    """Return arrival times in minutes; `gap` is the mean time between two people."""
    chance = random.Random(seed)
    now, times = 0.0, []
    for _ in range(people):
        now += chance.expovariate(1 / gap)
        times.append(round(now, 3))
    return times


def waits(times, *, service, counters=1):
    """Return how long each person waits, in minutes, when every service takes `service`.

    Raises ValueError when there is no counter.
    """
    if counters < 1:
        raise ValueError("a desk needs at least one counter")
    free = [0.0] * counters  # when each counter is free again: a heap
    result = []
    for arrived in times:
        start = max(arrived, heapq.heappop(free))
        heapq.heappush(free, start + service)
        result.append(round(start - arrived, 3))
    return result
