"""What schemathesis has to know about the bridge beside its OpenAPI document."""

import schemathesis
from hypothesis import strategies

schemathesis.openapi.media_type("application/offset+octet-stream", strategies.binary(min_size=1, max_size=64))


@schemathesis.hook
def filter_case(_context, case):
    """HTTP lets anybody add headers: that one which the document does not name is accepted is no fault."""
    return not any(name.lower().startswith("x-schemathesis") for name in case.headers or {})
