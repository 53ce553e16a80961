# SPDX-License-Identifier: BSD-2-Clause
"""Headless Chromium in one of the lab's network namespaces. A namespace belongs to a thread: everything that talks to the
browser runs in one of its own."""
import concurrent.futures
import ctypes
import os
import time

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from lab import patience, wait_until

CLONE_NEWNET = 0x40000000
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--disable-background-networking", "--disable-extensions", "--no-proxy-server", "--hide-scrollbars")


class Browser:
    def __init__(self, netns, profile):
        self.thread = concurrent.futures.ThreadPoolExecutor(1, initializer=enter, initargs=(netns,))
        self.driver = self(start, profile)

    def __call__(self, function, *arguments):
        return self.thread.submit(function, *arguments).result(120 * patience())

    def close(self):
        try:
            self(self.driver.quit)
        finally:
            self.thread.shutdown()

    def open(self, url):
        self(self.driver.get, url)

    def run(self, script, *arguments):
        """The return value of a script in the page."""
        return self(lambda: self.driver.execute_script(script, *arguments))

    def wait(self, script, seconds, what):
        """The first true value of a script in the page, and the time at which it was seen (time.monotonic())."""
        return wait_until(lambda: self.run(script), seconds, lambda: f"{what}\n{self.text()}"), time.monotonic()

    def text(self):
        return self.run("return document.body.innerText")

    def console(self):
        """Errors and warnings since the last call."""
        return self(lambda: [f"{line['level']}: {line['message']}" for line in self.driver.get_log("browser")])

    def look(self, width, height, scheme="light"):
        """Sets the size of the screen, and light or dark mode."""
        mobile = width < 600
        self(lambda: self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}))
        self(lambda: self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": scheme}]}))

    def screenshot(self, file):
        self(self.driver.save_screenshot, str(file))


def enter(netns):
    with open(netns, encoding="ascii") as fd:
        if ctypes.CDLL(None, use_errno=True).setns(fd.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {netns}")


def start(profile):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "WARNING"})
    return webdriver.Chrome(service=Service("/usr/bin/chromedriver", log_path=os.devnull), options=options)
