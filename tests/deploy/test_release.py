"""What a release ships beside the programs: manual pages, completions, the container file, bills of materials, packages."""

import fnmatch
import json
import re
import shutil
import subprocess
import sys

import pytest

from programs import BINARIES, PROGRAMS, ROOT

CONTAINERFILE = ROOT / "deploy/container/Containerfile"
# What every image of Debian has, and the image of the container file with it.
IN_THE_IMAGE = {
    "linux-vdso.so.1",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
    "libc.so.6",
    "libm.so.6",
    "libgcc_s.so.1",
}


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated")
    for program in PROGRAMS:
        subprocess.run([BINARIES / program, "--generate", folder], check=True)
    return folder


def test_every_command_and_flag_has_its_place_in_a_manual_page(generated):
    pages = {page.stem: page.read_text() for page in (generated / "man").iterdir()}
    assert set(PROGRAMS) <= set(pages) and {"courant-up", "courant-submit", "courant-jobs"} <= set(pages)
    assert "courant-pdf-child" not in pages and "courant-pdf-worker-pdf-child" not in pages
    for program in PROGRAMS[1:] + ["courant-up"]:
        shown = subprocess.run(
            [BINARIES / program.split("-up")[0], *(["up"] if "-up" in program else []), "--help"],
            capture_output=True,
            text=True,
        )
        flags = set(re.findall(r"^\s+(?:-\w, )?(--[a-z0-9-]+)", shown.stdout, re.MULTILINE))
        page = pages[program].replace("\\-", "-")
        assert len(flags) > 20 and not [flag for flag in flags if flag not in page]
        assert "COURANT_" in page


@pytest.mark.skipif(not shutil.which("man"), reason="needs Debian's man-db")
def test_manual_pages_are_well_formed(generated):
    for page in (generated / "man").iterdir():
        done = subprocess.run(
            ["man", "--warnings", "--local-file", page],
            capture_output=True,
            text=True,
            env={"MANWIDTH": "100", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
        )
        assert done.returncode == 0 and not done.stderr, f"{page.name}: {done.stderr}"


@pytest.mark.parametrize(
    ("shell", "name", "flags"),
    [("bash", "{}.bash", ["-n"]), ("zsh", "_{}", ["-n"]), ("fish", "{}.fish", ["--no-execute"])],
)
def test_completions_are_read_by_their_shells(shell, name, flags, generated):
    for program in PROGRAMS:
        file = generated / shell / name.format(program)
        assert "check-config" in file.read_text() and "--generate" not in file.read_text()
        if shutil.which(shell):
            subprocess.run([shell, *flags, file], check=True)


def test_bash_completes_commands_and_flags(generated):
    script = f"""source {generated}/bash/courant.bash
        COMP_WORDS=(courant up --check); COMP_CWORD=2; _courant courant --check up; echo "${{COMPREPLY[@]}}"
        COMP_WORDS=(courant sub); COMP_CWORD=1; _courant courant sub courant; echo "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["--check-config", "submit"]


def test_the_image_has_all_that_the_programs_load_and_the_manifests_start():
    text = CONTAINERFILE.read_text()
    copied = set(re.search(r"COPY --from=programs (.*) /usr/bin/$", text, re.MULTILINE)[1].split())
    assert copied == {f"/usr/bin/{program}" for program in PROGRAMS}
    for program in PROGRAMS:
        shown = subprocess.run(["ldd", BINARIES / program], capture_output=True, text=True, check=True).stdout
        loaded = {line.split()[0].rsplit("/", 1)[-1] for line in shown.splitlines()}
        assert loaded <= IN_THE_IMAGE, f"{program} loads what the image has not: {loaded - IN_THE_IMAGE}"
    users = set(re.findall(r"^USER (\S+)", text, re.MULTILINE))
    assert users == {"10001:10001"} and "HEALTHCHECK" in text and "org.opencontainers.image.licenses" in text


def test_a_build_of_the_image_is_given_all_that_it_compiles():
    ignored = [
        line
        for line in CONTAINERFILE.with_name("Containerfile.dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    needed = [
        path
        for path in listed
        if path.endswith((".rs", ".proto", "Cargo.toml", "Cargo.lock"))
        or path.startswith(("bridge/web", "bridge/schema"))
    ]
    for path in needed:
        parts = path.split("/")
        prefixes = ["/".join(parts[:number]) for number in range(1, len(parts) + 1)]
        for pattern in ignored:
            hidden = [
                prefix
                for prefix in prefixes
                if fnmatch.fnmatch(prefix, pattern)
                or (pattern.startswith("**/") and fnmatch.fnmatch(prefix.rsplit("/", 1)[-1], pattern[3:]))
            ]
            assert not hidden, f"{pattern} hides {path}"


def test_no_package_for_browsers_runs_a_script_when_it_is_installed():
    lock = json.loads((ROOT / "bridge/web/package-lock.json").read_text())
    assert len(lock["packages"]) > 50
    assert not [name for name, package in lock["packages"].items() if package.get("hasInstallScript")]
    assert "--ignore-scripts" in re.search(r"^NPM_INSTALL := .*$", (ROOT / "Makefile").read_text(), re.MULTILINE)[0]


def test_the_bill_of_materials_has_what_is_compiled_in_and_nothing_that_only_tests_need(tmp_path):
    subprocess.run([sys.executable, ROOT / "deploy/release/sbom.py", tmp_path], check=True)
    web = json.loads((tmp_path / "courant-web.cdx.json").read_text())
    names = {component["name"] for component in web["components"]}
    assert web["bomFormat"] == "CycloneDX" and "react" in names and "vite" not in names
    bill = json.loads((tmp_path / "courant.cdx.json").read_text())
    components = {component["name"]: component for component in bill["components"]}
    assert bill["specVersion"] == "1.6" and {"tokio", "rustls", "courant-server", "libsqlite3-sys"} <= set(components)
    assert not {"proptest", "courant-tests", "jsonschema"} & set(components)
    foreign = [component for component in bill["components"] if not component["name"].startswith("courant-")]
    assert all(component.get("hashes") and component.get("purl") and component.get("licenses") for component in foreign)


def test_only_the_sdk_is_published_and_says_what_registries_ask():
    shown = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--format-version", "1", "--locked"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    packages = json.loads(shown.stdout)["packages"]
    published = {package["name"]: package for package in packages if package["publish"] is None}
    script = (ROOT / "deploy/release/crates").read_text()
    assert sorted(published) == sorted(re.search(r"published=\((.*)\)", script)[1].split())
    for name, package in published.items():
        assert all(
            package[field] for field in ("description", "license", "repository", "readme", "keywords", "categories")
        ), name
        ours = [
            needed["name"]
            for needed in package["dependencies"]
            if needed["name"].startswith("courant-") and needed["kind"] != "dev"
        ]
        assert set(ours) <= set(published), f"{name} needs {ours}"
        # `cargo package` leaves out what only tests need and has no version; it looks for the rest where crates are published.
        for needed in package["dependencies"]:
            kept_back = needed["kind"] == "dev" and needed["name"].startswith("courant-")
            kept_back = kept_back and needed["name"] not in published
            assert not kept_back or needed["req"] == "*", f"{name} needs {needed['name']} by its path alone"
