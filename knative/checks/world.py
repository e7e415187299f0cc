"""What the repository itself says: functions, events, settings, metrics. Read from the sources, so that manifests cannot drift from them."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KNATIVE = ROOT / "knative"
PUBLIC = {"oauth", "webhook", "api", "console"}
PATHS = {"oauth": {"/oauth"}, "webhook": {"/webhook", "/gateway"}, "api": {"/api"}, "console": {"/console"}}
# One instance of these stays: somebody waits for the first two, and Prometheus reads the last.
AWAKE = {"oauth", "webhook", "metrics"}
PRIORITIES = ("high", "normal", "low")


def read(path):
    return (ROOT / path).read_text()


def functions():
    """Crates of functions that have a binary: each is an image."""
    return {p.parent.parent.name for p in ROOT.glob("functions/*/src/main.rs")}


def event_types():
    """Constants of events/src/lib.rs, by name."""
    return dict(re.findall(r'pub const ([A-Z_]+): &str = "([a-z.0-9-]+)"', read("events/src/lib.rs")))


def subscribers():
    """The table of events/src/routes.rs: {type: {function}}."""
    types, table = event_types(), {}
    body = read("events/src/routes.rs").split("pub fn subscribers", 1)[1]
    for left, right in re.findall(r"^\s*([A-Za-z:_| ]+?) => &\[([^\]]*)\]", body, re.M):
        for name in re.findall(r"types::([A-Z_]+)", left):
            table[types[name]] = {f.lower() for f in re.findall(r"Function::([A-Za-z]+)", right)}
    return table


def settings():
    """Every setting that .env.example lists."""
    return set(re.findall(r"^#?\s?([A-Z][A-Z0-9_]+)=", read(".env.example"), re.M))


def metrics():
    """Names of metrics, as the sources register them."""
    names = set()
    for source in [ROOT / "shared/runtime/src/metrics.rs", *ROOT.glob("functions/metrics/src/**/*.rs")]:
        names |= set(re.findall(r'"(ohx_[a-z_]+)"', source.read_text()))
    return names


def described():
    """What the operator's page says of secrets and what else is theirs to make."""
    return read("docs/operate/cluster.md")
