# SPDX-License-Identifier: BSD-2-Clause
"""What must hold after a game, whatever fault occurred. Each check returns a list of violations (sentences), empty if
there are none; Report.figures() returns what was measured."""
import re
from collections import Counter, defaultdict
from statistics import median

from faults import FAULTS
from game import SERVICES
from schedule import FIVE
from watch import Timeline

GRACE_S = 0.5  # between a verdict in force and its line as read: this machine may be busy
LATE_S = 5  # after the healing, a probe that began before may still report the fault
RESET_S = 20  # until the last session of a server that is gone has heard of it
WARM_RELOADS, WARM_SAMPLES = 5, 10
SERVING_S = 3  # a server that got a SYN so recently is one that gets mail
GROWTH_KB = 1024
GAP_S = 2  # without one accepted message, while a server was well and mxlbd lived
TRANSITIONS = "backend_verdict", "service_state", "service_tier"
SILENT = re.compile(r"no greeting (?:for (\d+) ms, and none for \d+ clients|in time)")  # the first: core/passive.c, rule 6
PROBE_MS = 2000  # game.py's timeout of a probe
STRIKE_S = 1  # what a fault may take to begin; on a machine that is too busy for that it ends before it can be seen
HEAD_SIZE = 4096  # bytes of a message, its headers among them


def first(complaints, n=5):
    return complaints[:n] + ([f"... and {len(complaints) - n} more"] if len(complaints) > n else [])


def deliveries(lab):
    """Returns {message id: {(server, queue id)}} and the number of duplicate files of one queue entry: a server that is
    killed between writing a mailbox and recording it delivers again."""
    found, folded = defaultdict(set), 0
    for host in FIVE:
        for file in (lab.run / host / "mail").glob("new/*"):
            with file.open("rb") as mail:
                head = mail.read(HEAD_SIZE).decode(errors="replace")
            message = re.search(r"^Message-ID: <(.*)@ledger>", head, re.M)[1]
            entry = host, re.search(r"\(Postfix\) with E?SMTPS? id (\w+)", head)[1]
            folded += entry in found[message]
            found[message].add(entry)
    return found, folded


def doubts_of_the_sender(log):
    """{message id: number of times that the queueing Postfix itself logged a possible duplicate}."""
    names = dict(re.findall(r"cleanup\[\d+\]: (\w+): message-id=<(.*)@ledger>", log))
    doubts = re.findall(r"smtp\[\d+\]: (\w+): .*message may be sent more than once", log)
    return Counter(names[queue_id] for queue_id in doubts)


def pieces(begin, end, without):
    """What is left of an interval without others, which are ordered by their begin."""
    for b, e in without:
        if b < end and begin < e:
            yield begin, max(begin, b)
            begin = min(e, end)
    yield begin, end


class Report:
    def __init__(self, game):
        self.game, self.record, self.site = game, game.record, game.site
        self.events = [e for e in self.site.balancer.events() if e.at >= self.record.began]
        self.macs = {host: self.site.lab.mac(host) for host in FIVE}
        self.syns = game.syns.seen()
        self.verdicts = {(service, host): Timeline("up") for service in SERVICES for host in FIVE}
        self.states = {service: Timeline("up") for service in SERVICES}
        for e in self.events:
            if e.kind == "backend_verdict":
                self.verdicts[e.service, e.backend].add(e.at, e.to)
            elif e.kind == "service_state":
                self.states[e.service].add(e.at, e.to)
        self.sent = self.site.lab.log("client")
        self.found, self.folded = deliveries(self.site.lab)

    def complaints(self):
        checks = (self.failures, self.mail, self.senders, self.causes, self.chains, self.detection, self.dead_servers,
                  self.gaps, self.conservation, self.vitals, self.sessions)
        return [f"{check.__name__}: {each}" for check in checks for each in first(check())]

    def failures(self):
        return self.record.failures

    # --- mail ---

    def outcomes(self, outcome):
        return Counter(a["id"] for a in self.record.attempts if a["outcome"] == outcome)

    def mail(self):
        """accepted ⊆ delivered; duplicates ⊆ ambiguous."""
        doubts = self.outcomes("ambiguous") + doubts_of_the_sender(self.sent)
        accepted = self.outcomes("accepted")
        lost = [f"{message} was accepted, and no server has it" for message in accepted if not self.found[message]]
        double = [f"{message}: {len(where)} deliveries after {doubts[message]} doubts: {where}"
                  for message, where in self.found.items() if len(where) > 1 + doubts[message]]
        return lost + double

    def senders(self):
        """All messages are sent in the end, and no sender got a permanent refusal."""
        unsent = self.game.rules.messages - len(self.outcomes("accepted"))
        refused = [f"{a['id']}: {a['why']} at {a['stage']} by {a['server']}"
                   for a in self.record.attempts if a["outcome"] == "permanent"]
        bounced = re.findall(r"smtp\[\d+\]: .*status=bounced.*", self.sent)
        return ([f"{unsent} messages were never taken"] if unsent else []) + refused + bounced

    # --- what mxlbd said ---

    def windows(self, host, at, late):
        return [w for w in self.record.windows if w.host == host and w.struck <= at <= w.healed + late]

    def deed(self, at, late, names=("kill_mxlbd", "kill_child")):
        return any(name in names and begin <= at <= end + late for name, begin, end in self.record.deeds)

    def senders_during(self, e):
        """While, as this verdict claims, the server greeted nobody: how many connected or waited, and how many of those who
        connected were greeted (if it claims that clients were not). (0, 0): the verdict claims no such thing."""
        if not (claim := SILENT.search(e.cause)):
            return 0, 0
        begin, end = e.at - int(claim[1] or PROBE_MS) / 1000, e.at - GRACE_S
        own = [a for a in self.record.attempts if a["server"] == e.backend]
        syns = sum(syn.mac == self.macs[e.backend] and begin <= syn.at <= end for syn in self.syns)
        return (syns + sum(a["at"] <= end < a["greeted"] for a in own),
                sum(begin <= a["at"] and a["greeted"] <= end for a in own) if claim[1] else 0)

    def causes(self):
        """Every transition has a reason, and every failure of a server follows a fault that shows as this reason, or is a
        silence that senders met: Postfix may greet nobody for more than a second after it was reconfigured."""
        wrong = []
        for e in self.events:
            if e.kind in TRANSITIONS and not e.cause:
                wrong.append(f"{e}: no cause")
            if e.kind != "backend_verdict":
                continue
            expected = {r for w in self.windows(e.backend, e.at, LATE_S) for r in FAULTS[w.fault].reasons}
            asked, greeted = self.senders_during(e)
            if greeted:
                wrong.append(f"at {e.at - self.record.began:.2f} {e}: it greeted {greeted} senders meanwhile")
            elif e.to in ("down", "draining") and e.reason not in expected and not asked:
                wrong.append(f"at {e.at - self.record.began:.2f} {e}: no fault explains it")
            if e.to == "unknown" and e.reason != "local_stall" and not self.deed(e.at, LATE_S):
                wrong.append(f"at {e.at - self.record.began:.2f} {e}: mxlbd was well")
        return wrong

    def chains(self):
        """Each transition starts from the state in which the previous one ended, also across restarts of mxlbd."""
        last, wrong = {}, []
        for e in self.events:
            key = e.kind, e.service, e.backend
            if e.cause == "start":  # a service has no state before; its servers' verdicts were adopted
                assert e.kind != "backend_verdict"
                last.pop(key, None)
            if e.kind in TRANSITIONS and last.setdefault(key, e.was) != e.was:
                wrong.append(f"at {e.at - self.record.began:.2f} {e}: it was {last[key]}")
            last[key] = e.to
        return wrong

    def disturbed(self, begin, end):
        return any(name == "kill_mxlbd" and begin <= e and b <= end for name, b, e in self.record.deeds)

    def seen(self, window, service):
        """Seconds from the end of the strike to the verdict. None: the server was not up before, or there was no
        verdict."""
        if self.verdicts[service, window.host].at(window.struck) != "up":
            return None
        return next((max(e.at - window.hit, 0) for e in self.events
                     if (e.kind, e.service, e.backend) == ("backend_verdict", service, window.host)
                     and e.to in ("down", "draining") and window.struck <= e.at <= window.healed + LATE_S), None)

    def detection(self):
        """Faults that last are detected, and no dead server counts as up."""
        wrong = []
        for w in self.record.windows:
            for service in SERVICES:
                verdict = self.verdicts[service, w.host]
                lasted = w.heal - w.hit >= FAULTS[w.fault].lasts[0] - STRIKE_S
                if FAULTS[w.fault].seen and lasted and not self.disturbed(w.struck, w.healed) and \
                        verdict.during(w.struck, w.heal) == {"up"}:
                    wrong.append(f"{w}: {service} did not see it")
                if FAULTS[w.fault].dead and any(w.hit + 2 * GRACE_S < at < w.heal and to == "up"
                                                for at, to in zip(verdict.times, verdict.values)):
                    wrong.append(f"{w}: {service} took it for up")
        return wrong

    def dead_servers(self):
        """No SYN goes to a server that is down unless no other is left; a draining server gets only retransmitted
        SYNs."""
        hosts, wrong = {mac: host for host, mac in self.macs.items()}, []
        for syn in self.syns:
            host, around = hosts[syn.mac], (syn.at - GRACE_S, syn.at + GRACE_S)
            verdicts = self.verdicts[syn.service, host].during(*around)
            last_resort = self.states[syn.service].during(*around) & {"draining-only", "fail-open"}
            if not last_resort and (verdicts == {"down"} or (verdicts == {"draining"} and not syn.again)):
                wrong.append(f"at {syn.at - self.record.began:.2f} to {host}, {verdicts}, from port {syn.port}, {syn.service}")
        return wrong

    def nobody_well(self):
        """[(begin, end)] in which each of the five servers has a fault that keeps it from taking mail at once."""
        ill = {host: [(w.struck, w.healed) for w in self.record.windows if w.host == host and not FAULTS[w.fault].takes] for host in FIVE}
        changes = sorted(at for windows in ill.values() for window in windows for at in window)
        return [(a, b) for a, b in zip(changes, changes[1:]) if all(any(s <= a and b <= e for s, e in ill[host]) for host in FIVE)]

    def excused(self):
        """Times at which no mail can pass, in their order: no server is well, or mxlbd is dead or starting."""
        return sorted([(begin, end + LATE_S) for begin, end in self.nobody_well()] +
                      [(begin, end + LATE_S) for name, begin, end in self.record.deeds if name == "kill_mxlbd"])

    def longest_gap(self):
        """The longest time between two accepted messages, excused times left out: (seconds, start, which servers had
        which fault)."""
        ends = sorted(a["at"] + a["seconds"] for a in self.record.attempts if a["outcome"] == "accepted")
        ends = [at for at in ends if at <= self.record.began + self.game.rules.seconds]
        excused = self.excused()
        begin, end = max((piece for gap in zip(ends, ends[1:]) for piece in pieces(*gap, excused)), key=lambda p: p[1] - p[0])
        ill = [f"{w.host} {w.fault}" for w in self.record.windows if w.struck < end and begin < w.healed]
        return end - begin, begin - self.record.began, ill

    def experienced(self, begin, end):
        """What senders met and which servers got SYNs in this part of the game, to find the cause of a gap."""
        begin, end = begin + self.record.began, end + self.record.began
        hosts = {mac: host for host, mac in self.macs.items()}
        met = Counter(f"{a['outcome']} at {a['stage']} by {a['server']}: {a['why']}" for a in self.record.attempts
                      if a["at"] < end and begin < a["at"] + a["seconds"])
        syns = Counter(f"{hosts[syn.mac]} {syn.service}{' again' if syn.again else ''}" for syn in self.syns if begin <= syn.at <= end)
        return f"attempts {dict(met)}, SYNs {dict(syns)}"

    def gaps(self):
        seconds, at, ill = self.longest_gap()
        return [f"at {at:.2f} no message was taken for {seconds:.2f} s: {ill}; {self.experienced(at, at + seconds)}"] \
            if seconds > GAP_S else []

    # --- the machine ---

    def conservation(self):
        ran, fates = self.record.packets
        return [] if ran == fates else [f"{ran} packets came, {fates} have a fate"]

    def warm_lives(self):
        """The samples of each life of mxlbd from after its first reloads, when the heap has reached its size."""
        reloads = [end for name, _, end in self.record.deeds if name == "reload"]
        lives = [[s for s in life if sum(life[0][0] <= end < s[0] for end in reloads) >= WARM_RELOADS]
                 for life in self.game.vitals.lives()]
        return [life for life in lives if len(life) > WARM_SAMPLES]

    def vitals(self):
        """In each life of mxlbd the descriptors return to their number, and memory does not grow after the warm-up."""
        wrong = []
        for warm in self.warm_lives():
            for who, name in enumerate(("mxlbd", "its child")):
                descriptors, memory = [s[2][who] for s in warm], [s[3][who] for s in warm]
                if min(descriptors[-5:]) > min(descriptors[:5]) + 1:
                    wrong.append(f"{name}: from {descriptors[:5]} to {descriptors[-5:]} descriptors")
                if memory[-1] - memory[0] > GROWTH_KB:
                    wrong.append(f"{name}: from {memory[0]} to {memory[-1]} kB")
        return wrong

    def broken_sessions(self):
        return [s for s in self.record.idle if s.server and s.error]

    def sessions(self):
        """An open session ends only together with its own server."""
        return [f"{s}: nothing happened to {s.server}" for s in self.broken_sessions()
                if not any(FAULTS[w.fault].breaks for w in self.windows(s.server, s.at, RESET_S))]

    # --- figures ---

    def failover(self, name):
        """For each fault of a server that got mail while mxlbd lived: seconds to the verdict and to the server's last
        SYN."""
        verdicts, last = [], []
        for w in self.record.windows:
            for service in SERVICES:
                if w.fault != name or self.disturbed(w.struck, w.healed) or (seen := self.seen(w, service)) is None:
                    continue
                syns = [s.at - w.hit for s in self.syns if s.service == service and s.mac == self.macs[w.host]
                        and w.struck - SERVING_S <= s.at <= w.heal]
                if syns:
                    verdicts.append(seen)
                    last.append(max(syns[-1], 0))
        return verdicts, last

    def figures(self):
        lines = []
        for name, fault in FAULTS.items():
            verdicts, last = self.failover(name)
            if verdicts:
                lines.append(f"{fault.row} {name}: {len(verdicts)} seen, verdict after {median(verdicts):.2f} s, at worst "
                             f"{max(verdicts):.2f} s; last SYN {median(last):.2f} s, at worst {max(last):.2f} s")
        everything = [self.failover(name)[1] for name, fault in FAULTS.items() if fault.dead]
        dead = [seconds for each in everything for seconds in each]
        if dead:
            lines.append(f"failover, all {len(dead)}: median {median(dead):.2f} s, worst {max(dead):.2f} s")
        counts = Counter(a["outcome"] for a in self.record.attempts)
        again = sum(len(where) > 1 for where in self.found.values())
        lost = sum(not self.found[message] for message in self.outcomes("accepted"))
        lines.append(f"{len(self.found)} messages delivered in {len(self.record.attempts)} attempts {dict(counts)}, "
                     f"{lost} lost, {again} twice, {sum(doubts_of_the_sender(self.sent).values())} doubts of the queueing sender, "
                     f"{self.folded} second copies by a killed server itself")
        seconds, at, ill = self.longest_gap()
        lines.append(f"longest time without an accepted message {seconds:.2f} s, at {at:.2f}: {ill}")
        lines.append(f"deeds {dict(Counter(name for name, _, _ in self.record.deeds))}, faults "
                     f"{dict(Counter(w.fault for w in self.record.windows))}, {len(self.events)} events")
        lines.append(f"{len(self.record.idle)} idle sessions, {len(self.broken_sessions())} ended with their server; "
                     f"{len(self.syns)} SYNs; {self.record.packets[0]} packets, each with its fate")
        lines.append(self.vital_figures())
        return lines

    def vital_figures(self):
        lives, warm = self.game.vitals.lives(), self.warm_lives()
        grown = [f"{sum(life[-1][3]) - sum(life[0][3])} kB in {life[-1][0] - life[0][0]:.0f} s" for life in warm]
        return (f"{len(lives)} lives of mxlbd, descriptors {sorted({min(sum(s[2]) for s in life) for life in lives})}, "
                f"growth once warm: {', '.join(grown) or 'no life was long enough'}")
