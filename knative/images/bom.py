"""What a binary is made of: its crates, from cargo's own resolution and lock file, without dates."""

import hashlib
import json
import re
import subprocess
import uuid
from pathlib import Path

LICENCE = re.compile(r"^(licen[sc]e|copying|notice|unlicense)", re.I)


class Metadata:
    def __init__(self, root, told):
        self.packages = {p["id"]: p for p in told["packages"]}
        self.nodes = {n["id"]: n for n in told["resolve"]["nodes"]}
        lock = (root / "Cargo.lock").read_text()
        found = re.findall(r'name = "([^"]+)"\nversion = "([^"]+)"\nsource = "[^"]+"\nchecksum = "([0-9a-f]+)"', lock)
        self.checksums = {(n, v): c for n, v, c in found}

    def package(self, name):
        return next(p for p in self.packages.values() if p["name"] == name and p["source"] is None)

    def needs(self, package_id):
        """What is linked into it: normal dependencies, not those of builds and tests."""
        return sorted(d["pkg"] for d in self.nodes[package_id]["deps"] if any(k["kind"] is None for k in d["dep_kinds"]))

    def closure(self, package):
        seen, todo = set(), [package["id"]]
        while todo:
            one = todo.pop()
            if one not in seen:
                seen.add(one)
                todo += self.needs(one)
        # Macros run in the compiler.
        linked = [self.packages[i] for i in seen if not any("proc-macro" in t["kind"] for t in self.packages[i]["targets"])]
        return sorted(linked, key=lambda p: (p["name"], p["version"]))

    def cyclonedx(self, package):
        """CycloneDX 1.5 of a binary's package."""
        ref = lambda p: f"pkg:cargo/{p['name']}@{p['version']}"

        def component(p, kind):
            made = {"type": kind, "bom-ref": ref(p), "name": p["name"], "version": p["version"], "purl": ref(p)}
            if p["license"]:
                made["licenses"] = [{"expression": p["license"].replace("/", " OR ")}]
            checksum = self.checksums.get((p["name"], p["version"]))
            if checksum:
                made["hashes"] = [{"alg": "SHA-256", "content": checksum}]
            return made

        linked = self.closure(package)
        there = {p["id"] for p in linked}
        parts = [component(p, "library") for p in linked if p["id"] != package["id"]]
        graph = [{"ref": ref(p), "dependsOn": [ref(self.packages[i]) for i in self.needs(p["id"]) if i in there]} for p in linked]
        made = {
            "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
            "metadata": {"component": component(package, "application")}, "components": parts, "dependencies": graph,
        }
        named = hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()
        made["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, named)}"
        return json.dumps(made, indent=1, sort_keys=True) + "\n"

    def licences(self, package):
        """Each crate with its licence, and below, once each, the texts that come with them."""
        lines, texts = [f"{package['name']} {package['version']} is made of:", ""], {}
        for p in self.closure(package):
            lines.append(f"{p['name']} {p['version']}: {p['license'] or 'see its text'}")
            folder = Path(p["manifest_path"]).parent
            for file in sorted(folder.iterdir()):
                if file.is_file() and LICENCE.match(file.name):
                    text = file.read_text(errors="replace").replace("\r\n", "\n").strip()
                    texts.setdefault(text, []).append(f"{p['name']} {p['version']}")
        lines.append("\nglibc (static): LGPL-2.1-or-later; its sources come with the distribution that the image is built on.")
        lines.append("The certificate authorities (certifi, of Mozilla's list): MPL-2.0.")
        for text, of in texts.items():
            lines += ["", "=" * 100, f"{', '.join(dict.fromkeys(of))}:", "", text]
        return "\n".join(lines) + "\n"


def metadata(root, target):
    """cargo's resolution for a target."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", target]
    told = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    return Metadata(root, json.loads(told))
