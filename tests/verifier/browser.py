"""A Chromium for tests of verifier/index.html, driven through chromedriver (https://www.w3.org/TR/webdriver2/)."""
import base64
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

PAGE = pathlib.Path(__file__).resolve().parents[2] / "verifier/index.html"


def missing_programs():
    """Why there can be no Browser here; empty if there can."""
    missing = [program for program in ("chromium", "chromedriver") if shutil.which(program) is None]
    return f"{' and '.join(missing)} not installed; see scripts/install-dependencies" if missing else ""


class Browser:
    """A Chromium of its own, with an empty profile; must be used as a context."""

    def __enter__(self):
        self.profile = tempfile.TemporaryDirectory(prefix="kimberlite-page-")
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                       text=True)
        self.session = None
        try:
            port = next(filter(None, (re.search(r"started successfully on port (\d+)", line)
                                      for line in self.driver.stdout)))[1]
            self.base = f"http://127.0.0.1:{port}/session"
            self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                         "--disable-background-networking", "--disable-component-update", "--disable-sync",
                         "--user-data-dir=" + self.profile.name]
            options = {"binary": shutil.which("chromium"), "args": arguments}
            answer = self.call("POST", "", {"capabilities": {"alwaysMatch": {
                "goog:chromeOptions": options, "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"}}}})
            self.session = answer["sessionId"]
            self.base += "/" + self.session
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            if self.session:
                self.call("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait(10)
            self.profile.cleanup()

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with self.opener.open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(error.read().decode()) from None

    def open(self, page=PAGE):
        self.call("POST", "/url", {"url": page.as_uri()})

    def run(self, script, *arguments):
        return self.call("POST", "/execute/sync", {"script": script, "args": arguments})

    def wait_for(self, script, *arguments):
        """What the script, an expression that is a promise, resolves to."""
        whole = "const done = arguments[arguments.length - 1];" \
            f"({script}).then((value) => done([true, value]), (error) => done([false, String(error)]))"
        good, value = self.call("POST", "/execute/async", {"script": whole, "args": arguments})
        if not good:
            raise RuntimeError(value)
        return value

    def devtools(self, command, **parameters):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def element(self, selector):
        found = self.call("POST", "/element", {"using": "css selector", "value": selector})
        return "/element/" + next(iter(found.values()))

    def type(self, selector, text):
        self.call("POST", self.element(selector) + "/value", {"text": text})

    def click(self, selector):
        self.call("POST", self.element(selector) + "/click", {})

    def verdict(self):
        """What the page says in the end: verdict, code."""
        until = time.monotonic() + 10
        while time.monotonic() < until:
            said = self.run("const d = document.getElementById('verdict').dataset; return [d.verdict, d.code]")
            if said[0]:
                return tuple(said)
            time.sleep(0.02)
        return ("no verdict", "")

    def text(self):
        return self.run("return document.getElementById('results').innerText")

    def check(self, cases):
        """Of each (what, bytes, key line) what the page's entry point for programs says."""
        script = """(async (cases) => {
          const answers = [];
          for (const [what, bytes, key] of cases) answers.push(await kimberlite.check(bytes, key, what));
          return answers;
        })(arguments[0])"""
        answers = []
        for at in range(0, len(cases), 500):
            batch = [(what, base64.b64encode(data).decode(), key) for what, data, key in cases[at:at + 500]]
            answers += self.wait_for(script, batch)
        return answers

    def logged(self, kind):
        return self.call("POST", "/se/log", {"type": kind})

    def screenshot(self, file):
        size = self.devtools("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        picture = self.devtools("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        pathlib.Path(file).write_bytes(base64.b64decode(picture["data"]))
