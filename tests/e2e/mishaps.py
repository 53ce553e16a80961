# SPDX-License-Identifier: BSD-2-Clause
"""Shared by the tests of the faults in docs/conformance.md: mail in progress, slow servers, lossy links, frames that
no host sends. Which test shows which fault: tests/faults.md."""
from games import Sessions, assert_alive, assert_ended_well
from lab import VIP, Traffic, command, wait_until

PATIENCE_S = 15  # for what should take two


class Mail:
    """Busy sessions, idle sessions and new connections at the same time."""

    def __init__(self, lab):
        self.sessions, self.traffic = Sessions(lab, VIP), Traffic(lab)

    def __enter__(self):
        self.sessions.__enter__()
        self.traffic.__enter__()
        self.sessions.open(10, 10)
        self.traffic.wait_seen({"oxford-a", "oxford-b"})
        return self

    def __exit__(self, *what):
        self.traffic.__exit__(*what)
        self.sessions.__exit__(*what)

    def back_after(self, since):
        """Seconds until the first connection begun after that time is greeted; all later ones must be, too."""
        first = wait_until(lambda: [a for a in self.traffic.attempts(since) if a.server], PATIENCE_S, "a greeting")[0]
        self.traffic.wait_seen({"oxford-a", "oxford-b"}, PATIENCE_S)
        return first.at - since

    def end(self):
        """No session broke, and each is still on its server."""
        assert_alive(self.sessions.noop())
        self.sessions.assert_one_server_each()
        assert_ended_well(self.sessions.quit())


def greet_late(lab, host, seconds):
    """Delays the greeting by this time."""
    main = lab.run / host / "etc/main.cf"
    text = main.read_text()

    def write(more=""):
        main.write_text(text + more)
        lab("server", "reload", host)
    lab.undo.callback(write)
    write(f"smtpd_delay_reject = no\nsmtpd_client_restrictions = sleep {seconds}\n")


LOSS = """
static unsigned (*random_u32)(void) = (void *)7; /* bpf_get_prandom_u32 */
__attribute__((section("tc"), used)) int lose(void *ctx) { return random_u32() %% 100 < %d ? 2 /* TC_ACT_SHOT */ : 0; }
"""


def lose(lab, host, percent):
    """Drops this share of the packets that arrive at the host, by a filter below its IP stack."""
    pin, file = f"{lab.pin}-lose", lab.run / "lose.o"
    filters = "tc", "filter", "replace", "dev", "eth0", "ingress", "prio", "1", "handle", "1", "bpf"
    command("clang", "-target", "bpf", "-O2", "-x", "c", "-c", "-", "-o", str(file), input=LOSS % percent)
    command("bpftool", "prog", "load", str(file), pin, "type", "classifier")
    try:
        lab.undo.callback(lab.within, host, "tc", "qdisc", "del", "dev", "eth0", "clsact", status=None)
        lab.within(host, "tc", "qdisc", "replace", "dev", "eth0", "clsact")
        lab.within(host, *filters, "da", "object-pinned", pin)
    finally:
        command("rm", pin)


def drops(balancer):
    """{reason: packets}."""
    return balancer.status()["drops"]
