# SPDX-License-Identifier: BSD-2-Clause
"""Which fault hits which server, when and for how long: a pure function of the rules and the seed. A second fault at
the same server waits until the first has ended and the balancer has had time to notice."""
import random
from dataclasses import dataclass, field

OXFORD = ("oxford-a", "oxford-b", "oxford-c")
FIVE = (*OXFORD, "nuneaton", "coventry")
REST_S = 4  # between two faults at one server
TRIES = 500
DEADLY_SHARE = 0.6  # of the game: then mxlbd is left alive, so that one run is long enough to show leaks


@dataclass(frozen=True)
class Rules:
    seconds: float
    messages: int
    idle: int  # sessions
    kill_every: float  # seconds: somewhere in each such stretch one server is killed
    faults: dict = field(default_factory=dict)  # name: how often. What strikes servers beside that
    deeds: dict = field(default_factory=dict)  # name: how often. What is done to mxlbd


@dataclass(frozen=True, order=True)
class Strike:
    at: float  # seconds from the game's begin
    name: str
    hosts: tuple  # empty: mxlbd
    lasts: float


class Calendar:
    """The times at which each server has a fault."""

    def __init__(self):
        self.taken = {host: [] for host in FIVE}
        self.strikes = []

    def free(self, host, begin, end):
        return all(end + REST_S < b or begin > e + REST_S for b, e in self.taken[host])

    def put(self, strike):
        for host in strike.hosts:
            self.taken[host].append((strike.at, strike.at + strike.lasts))
        self.strikes.append(strike)


def plan(rules, faults, seed):
    """faults: {name: Fault}, with .lasts = (minimum, maximum) seconds and .hosts = the number of hosts that it strikes
    (1) or their names. Returns the strikes ordered by time; strikes without a free time are left out."""
    rng = random.Random(f"schedule {seed}")
    calendar = Calendar()

    def place(name, begin, end):
        for _ in range(TRIES):
            fault = faults[name]
            hosts = fault.hosts if isinstance(fault.hosts, tuple) else (rng.choice(FIVE),)
            lasts = round(rng.uniform(*fault.lasts), 2)
            at = round(rng.uniform(begin, max(begin, end - lasts)), 2)
            if all(calendar.free(host, at, at + lasts) for host in hosts):
                return calendar.put(Strike(at, name, hosts, lasts))

    names = [name for name, n in rules.faults.items() for _ in range(n)]
    # the faults that last longest are placed first
    for name in sorted(names, key=lambda each: not isinstance(faults[each].hosts, tuple)):
        place(name, 1, rules.seconds)
    begin = 0.0
    while begin < rules.seconds:
        end = min(begin + rules.kill_every, rules.seconds)
        place("kill", begin, end + faults["kill"].lasts[0])
        begin = end
    for name, n in rules.deeds.items():
        stretch = rules.seconds * (DEADLY_SHARE if name == "kill_mxlbd" else 1)
        for i in range(n):  # spread, so that not all of them meet
            calendar.put(Strike(round(stretch * (i + rng.random()) / n, 2), name, (), 0))
    return sorted(calendar.strikes)
