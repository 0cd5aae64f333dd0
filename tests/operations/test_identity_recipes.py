"""The recipes for identity providers: tokens as each provider makes them are let in by the flags that the page names."""

import re
import shlex
import time

import pytest

from conftest import ROOT
from provider import Provider

PAGE = (ROOT / "docs/tls-and-identity.md").read_text()


def recipe(name):
    """The flags of a recipe: {flag: value}."""
    (block,) = re.findall(rf"^```sh {name}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    program, *words = shlex.split(block.replace("\\\n", " "))
    assert program == "courant-server"
    return dict(zip(words[::2], words[1::2]))


def claims(flags, roles):
    """What such a token says; its roles are where the flags look for them."""
    path = flags["--jwt-roles"]
    nested = path.split(".") if not path.startswith("https://") else [path]
    for name in reversed(nested):
        roles = {name: roles}
    # Providers name several audiences, and say much that nobody asked for.
    aud = [flags["--jwt-audience"], "account"]
    return roles | {"iss": flags["--jwt-issuer"], "aud": aud, "azp": "page", "scp": "jobs", "exp": int(time.time()) + 600}


@pytest.mark.parametrize("name", ["keycloak", "auth0", "entra"])
def test_tokens_of_the_provider_are_let_in_with_their_roles(name, system):
    flags = recipe(name)
    assert flags["--jwt-keys"].startswith("https://")
    provider = Provider("RS256")
    system.server(*(word for pair in (flags | {"--jwt-keys": provider.url}).items() for word in pair))

    def workers(token):
        return system.courant("workers", "--server", system.url, "--token", token, check=False)

    said = claims(flags, ["offline_access", "admin"]) | {"sub": "carol"}
    assert workers(provider.sign(said)).returncode == 0
    refused = workers(provider.sign(said | claims(flags, ["offline_access"]))).stderr
    assert "ROLE_REQUIRED" in refused, refused
    for wrong in ({"iss": "https://elsewhere.example"}, {"aud": "page"}):
        assert "TOKEN_INVALID" in workers(provider.sign(said | wrong)).stderr
    provider.stop()
