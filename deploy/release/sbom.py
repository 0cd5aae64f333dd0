"""Writes software bills of materials in the form of CycloneDX, and checks them against its schema.

    sbom.py FOLDER

courant.cdx.json: what is compiled into the programs, and how that depends on each other; from `cargo metadata` for the target of
releases, with the checksums of Cargo.lock. courant-web.cdx.json: what the packages for browsers and the console need; from the lock
file of npm. What only tests and builds need is left out. The same commit has the same bills (SOURCE_DATE_EPOCH).
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import time
import uuid
from datetime import datetime, timezone

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = "x86_64-unknown-linux-gnu"
# The crates whose programs are shipped.
SHIPPED = ["courant-cli", "courant-server", "courant-bridge", "courant-pdf"]


MADE = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())), timezone.utc)


def serial(name):
    return uuid.uuid5(uuid.NAMESPACE_URL, f"https://github.com/courant/courant/{name}/{MADE.isoformat()}")


def metadata():
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", TARGET]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def checksums():
    """Of each crate of a registry, by name and version."""
    packages = (ROOT / "Cargo.lock").read_text().split("[[package]]")[1:]
    fields = [dict(re.findall(r'^(name|version|checksum) = "(.*)"$', package, re.MULTILINE)) for package in packages]
    return {(field["name"], field["version"]): field["checksum"] for field in fields if "checksum" in field}


def dependencies(node):
    """What a crate is compiled with, but not only for its tests."""
    return [needed["pkg"] for needed in node["deps"] if any(kind["kind"] != "dev" for kind in needed["dep_kinds"])]


def component(package, sums):
    name, version = package["name"], package["version"]
    sum_ = sums.get((name, version))
    licence = (package["license"] or "").replace("/", " OR ")
    references = (
        [ExternalReference(type=ExternalReferenceType.VCS, url=XsUri(package["repository"]))]
        if package["repository"]
        else []
    )
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        bom_ref=f"{name}@{version}",
        purl=PackageURL("cargo", name=name, version=version) if sum_ else None,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sum_)] if sum_ else [],
        licenses=[LicenseFactory().make_from_string(licence)] if licence else [],
        external_references=references,
    )


def make():
    found, sums = metadata(), checksums()
    packages = {package["id"]: package for package in found["packages"]}
    nodes = {node["id"]: node for node in found["resolve"]["nodes"]}
    shipped = [id_ for id_ in found["workspace_members"] if packages[id_]["name"] in SHIPPED]
    made, left = {}, list(shipped)
    while left:
        id_ = left.pop()
        if id_ not in made:
            made[id_] = component(packages[id_], sums)
            left += dependencies(nodes[id_])
    version = packages[shipped[0]]["version"]
    program = Component(type=ComponentType.APPLICATION, name="courant", version=version, bom_ref="courant")
    bom = Bom(components=made.values())
    bom.metadata.component = program
    bom.serial_number, bom.metadata.timestamp = serial("courant"), MADE
    bom.register_dependency(program, [made[id_] for id_ in shipped])
    for id_, one in made.items():
        bom.register_dependency(one, [made[needed] for needed in dependencies(nodes[id_])])
    return bom


def of_npm():
    """What npm says of its lock file, without what differs each time."""
    command = ["npm", "sbom", "--package-lock-only", "--omit", "dev", "--sbom-format", "cyclonedx"]
    shown = subprocess.run(command, cwd=ROOT / "bridge/web", check=True, capture_output=True, text=True).stdout
    bill = json.loads(shown)
    bill["serialNumber"] = serial("web").urn
    bill["metadata"]["timestamp"] = MADE.isoformat().replace("+00:00", "Z")
    return json.dumps(bill, indent=1)


def write(file, text, version):
    if errors := JsonStrictValidator(version).validate_str(text):
        sys.exit(f"{file} is no CycloneDX: {errors}")
    file.write_text(text + "\n")


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "courant.cdx.json", JsonV1Dot6(make()).output_as_string(indent=1), SchemaVersion.V1_6)
    write(folder / "courant-web.cdx.json", of_npm(), SchemaVersion.V1_5)


if __name__ == "__main__":
    main()
