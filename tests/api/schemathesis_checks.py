"""Loaded by schemathesis: what every refusal of the service must look like, documented or not."""

import json
from typing import Any

import schemathesis

PROBLEM = "application/problem+json"


@schemathesis.check
def every_error_is_a_problem(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """RFC 9457, with a stable code; and a 5xx is never an answer to bad input."""
    if response.status_code < 400:
        return
    assert response.status_code < 500, f"{response.status_code} for a request"
    [kind] = response.headers["content-type"]
    assert kind == PROBLEM, f"{kind} for an error"
    if case.method != "HEAD":
        problem = json.loads(response.content)
        assert problem["status"] == response.status_code
        assert problem["code"]
        assert problem["type"].startswith("/docs/problems#")
