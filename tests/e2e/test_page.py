# SPDX-License-Identifier: BSD-2-Clause
"""The status page in a real browser: it shows faults within two seconds of their verdict, fits a phone, logs no
errors, runs nothing that a server sends, and reports at once when mxlbd stops."""
import os
import signal
import time

import pytest

from lab import wait_until
from watching import URL, document

WIDE, PHONE = (1280, 900), (375, 812)
KIND = """const card = [...document.querySelectorAll('.service')].find(c => c.querySelector('h2').textContent == 'hybrid-mail');
    const row = card && [...card.querySelectorAll('.backend')].find(b => b.querySelector('b').textContent == arguments[0]);
    return row && {verdict: row.dataset.verdict, text: row.innerText, icon: row.querySelector('use').getAttribute('href'),
                   state: card.dataset.state}"""


@pytest.fixture
def page(browser, balancer):
    """The page of a balancer with all servers up."""
    balancer.start()
    balancer.wait_all_up()
    browser.look(*WIDE)
    browser.open(URL + "/")
    browser.wait("return document.querySelectorAll('.backend[data-verdict=up]').length == 6", 20, "all are up on the page")
    browser.console()
    return browser


def shown(page, backend):
    return page.run(KIND, backend)


def wait_shown(page, backend, verdict, seconds):
    """Waits until the page shows this and returns the wall-clock time."""
    wait_until(lambda: shown(page, backend)["verdict"] == verdict, seconds, f"{backend} is {verdict} on the page")
    return time.time()


def verdict_at(lab, name, verdict):
    """The time of the last change to that verdict, from mxlbd's events; None if there was none."""
    times = [e["time"] for e in document(lab, "/events.json") if e["event"] == "backend_verdict" and e["server"] == name
             and e["service"] == "hybrid-mail" and e["to"] == verdict]
    return times[-1] if times else None


def test_a_fault_is_on_the_page_within_two_seconds_of_its_verdict(lab, balancer, page, measured):
    since = balancer.backend("oxford-a")["since"]
    lab.stop("oxford-a")
    balancer.wait_for({"oxford-a": "down"})
    judged = time.monotonic()  # or a moment before
    wait_shown(page, "oxford-a", "down", 2)
    seen = shown(page, "oxford-a")
    measured(f"{time.monotonic() - judged:.2f} s from the verdict in the JSON to the page, at most")
    assert seen["icon"] == "#down" and "refused" in seen["text"] and "Exchange Online: 4.4.316" in seen["text"]
    assert balancer.backend("oxford-a")["since"] != since and verdict_at(lab, "oxford-a", "down")
    summary = page.run("return document.getElementById('summary').textContent")
    assert summary.startswith("Accepting mail; hybrid-mail") and "oxford-a is down: refused" in summary, summary
    lab.cut("oxford-b")
    balancer.wait_for({"oxford-b": "down"}, 15)
    wait_shown(page, "oxford-b", "down", 2)
    page.wait("return [...document.querySelectorAll('.service')][0].innerText.includes('by tier 20')", 2, "tier 20 is shown")
    assert any("oxford-b verdict: up → down" in line for line in page.text().splitlines())
    lab.join("oxford-b")
    lab.start("oxford-a")
    balancer.wait_for({"oxford-a": "up", "oxford-b": "up"}, 20)
    wait_shown(page, "oxford-a", "up", 2)
    assert page.console() == []


def test_orders_are_shown_with_their_authors(lab, balancer, page):
    lab("ctl", "maint", "hybrid-mail/oxford-a")
    lab("ctl", "tier", "hybrid-mail", "force", "20")
    wait_until(lambda: "maintenance" in shown(page, "oxford-a")["text"], 2, "the order is shown")
    assert "maint by root" in shown(page, "oxford-a")["text"] and shown(page, "oxford-a")["icon"] == "#paused"
    page.wait("return document.body.innerText.includes('Tier 20 is forced by root')", 2, "the forced tier is shown")
    assert page.console() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_it_fits_and_can_be_read_in_either_theme(lab, balancer, page, size, scheme, tmp_path):
    page.look(*size, scheme)
    page.run("for (const d of document.querySelectorAll('details')) d.open = true")
    assert page.run("return [document.documentElement.scrollWidth, innerWidth]") == [size[0]] * 2
    contrasts = page.run(CONTRASTS)
    assert len(contrasts) > 30 and [row for row in contrasts if row[0] < 4.5] == []
    page.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10000
    assert page.console() == []


# WCAG 2.1, 1.4.3: of every text against what it is on.
CONTRASTS = """
const rgb = (c) => c.match(/[\\d.]+/g).map(Number);
const light = (c) => { const [r, g, b] = rgb(c).map((v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
                       return .2126 * r + .7152 * g + .0722 * b; };
function ground(e) { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
                     if ((rgb(c)[3] ?? 1) > 0) return c; } return 'rgb(255,255,255)'; }
return [...document.querySelectorAll('body *')].filter((e) => e.offsetParent && [...e.childNodes].some((n) =>
    n.nodeType == 3 && n.textContent.trim())).map((e) => { const [a, b] = [light(getComputedStyle(e).color), light(ground(e))];
    return [(Math.max(a, b) + .05) / (Math.min(a, b) + .05), e.tagName, e.className, e.textContent.slice(0, 40)]; });"""


def test_it_can_be_heard_and_operated_without_a_mouse(page):
    assert page.run("return document.documentElement.lang") == "en"
    assert page.run("return document.querySelectorAll('[role=list] > [role=listitem]').length") == 6
    assert page.run("return [...document.querySelectorAll('section')].every(s => s.className == 'tier' || "
                    "document.getElementById(s.getAttribute('aria-labelledby')).textContent)")
    assert page.run("return [...document.querySelectorAll('svg')].every(s => s.getAttribute('aria-hidden') == 'true' || "
                    "s.getAttribute('role') == 'img' && s.getAttribute('aria-label'))")
    assert page.run("return document.getElementById('summary').getAttribute('role')") == "status"
    assert page.run("const row = document.querySelector('.backend'); return new Promise((done) => setTimeout(() => "
                    "done(row.isConnected), 2500))"), "rows are kept, so that a reader's place is"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_the_page_shows_at_once_that_mxlbd_is_gone_and_when_it_is_back(balancer, page, how):
    lost = "return !document.getElementById('lost').hidden && document.getElementById('lost').textContent"
    os.kill(balancer.info("Pid"), how)
    text, _ = page.wait(lost, 5, "the loss is shown")  # a second to the next question, two for its answer
    assert text.startswith("No connection to mxlbd since") and "continues to forward" in text
    assert page.run("return document.title").startswith("⚠")
    if how == signal.SIGKILL:
        balancer.process.wait()
        balancer.start()
    else:
        os.kill(balancer.process.pid, signal.SIGCONT)
    page.wait("return document.getElementById('lost').hidden", 10, "the connection is back")


def test_a_servers_reply_is_shown_as_text_and_never_as_markup(lab, balancer, browser):
    """Tags in a server's answer and a script injected into the page: neither runs."""
    evil = "<img src=x onerror=\\\"window.owned=1\\\"><script>window.owned=1</script>"
    browser.look(*WIDE)
    balancer.start()
    balancer.wait_all_up()
    lab.within("oxford-a", "true")
    browser.open(URL + "/")
    browser.wait("return document.querySelectorAll('.backend').length == 6", 20, "the servers are shown")
    browser.console()
    browser.run(f"""const real = window.fetch; window.fetch = async (path, o) => {{ const answer = await real(path, o);
        if (!path.startsWith('status')) return answer; const text = (await answer.text()).replaceAll('250 2.1.0 Ok', "{evil}"
        .replaceAll('"', '\\\\"')); return new Response(text); }}""")
    browser.wait("return document.body.innerText.includes('<script>window.owned=1')", 5, "the words are shown")
    assert browser.run("return [window.owned ?? null, document.querySelectorAll('main img, main script').length]") == [None, 0]
    browser.run("const s = document.createElement('script'); s.textContent = 'window.owned = 2'; document.body.append(s);"
                "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.owned=3\">')")
    assert browser.run("return window.owned ?? null") is None
    assert any("Content Security Policy" in line for line in browser.console())


def test_all_its_requests_are_below_its_own_path(page):
    """A web server may therefore serve it at any path, as with nginx in the manual: location /mxlb/."""
    page.run("window.asked = new Set(); const fetched = window.fetch; "
             "window.fetch = (path, how) => { window.asked.add(path); return fetched(path, how); }")
    page.wait("return window.asked.size >= 3", 20, "each document was asked for")
    asked = page.run("return [...window.asked].sort()")
    assert asked == ["events.json", "history.json", "status.json"]
