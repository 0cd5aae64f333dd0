"""Generates the stubs from the protos when the package is built from a checkout. A source distribution has them already."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
SOURCES = ROOT / "src"
# Protos by the folder that their names begin in.
PROTOS = {ROOT.parent / "proto": "courant/v1", ROOT / "proto": "courant/_wire"}


def generate() -> None:
    """Writes `courant.v1`, which is the API, and `courant._wire`, with the details of errors."""
    from grpc_tools import protoc

    well_known = Path(protoc.__file__).parent / "_proto"
    for folder, package in PROTOS.items():
        target = SOURCES / package
        target.mkdir(parents=True, exist_ok=True)
        for old in target.glob("*.py*"):
            old.unlink()
        (target / "__init__.py").write_text('"""Generated from the protos; changes here are lost."""\n')
        out = [f"--{kind}_out={SOURCES}" for kind in ("python", "pyi", "grpc_python")]
        files = sorted(str(file) for file in (folder / package).glob("*.proto"))
        if protoc.main(["protoc", f"-I{well_known}", f"-I{folder}", *out, *files]) != 0:
            raise RuntimeError(f"protoc could not compile the protos of {folder / package}")


class GenerateStubs(BuildHookInterface[Any]):
    """Called by hatchling before it collects files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if all((folder / package).is_dir() for folder, package in PROTOS.items()):
            generate()


if __name__ == "__main__":
    generate()
