"""`GET /v1/forecast` and what came true of it, behind the operator token: the numbers tell who has how much waiting."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, get

from actors.doors.http.query import check_query, whole_number
from actors.forecasts import TENANTS_MAX, Forecasts
from contracts.errors import ContractError
from policies.what_if import EXAMPLES

IF_CHARACTERS_MAX = 1_000
TENANTS_DEFAULT = 50
_FORECAST_QUERY, _TRUTH_QUERY = ("if", "tenants"), ("since_us",)
_MICROSECONDS_MAX = 2**53
_encode = msgspec.json.Encoder().encode
_OPERATOR = {"operator": True}


@get("/v1/forecast", opt={**_OPERATOR, "query": _FORECAST_QUERY})
async def get_forecast(request: Request[Any, Any, Any], forecasts: Forecasts) -> Response[bytes]:
    """Time to drain, as things stand or as they would be."""
    parameters = check_query(request.scope["query_string"], _FORECAST_QUERY)
    clauses = parameters.get("if", "")
    if len(clauses) > IF_CHARACTERS_MAX:
        raise ContractError("query.value", f"if: at most {IF_CHARACTERS_MAX} characters.", parameter="if")
    tenants = whole_number(parameters, "tenants", TENANTS_DEFAULT, 0, TENANTS_MAX)
    return Response(_encode(forecasts.ask(clauses, tenants)), media_type="application/json")


@get("/v1/forecast/truth", opt={**_OPERATOR, "query": _TRUTH_QUERY})
async def get_truth(request: Request[Any, Any, Any], forecasts: Forecasts) -> Response[bytes]:
    """What became of the calls that waited at a moment."""
    parameters = check_query(request.scope["query_string"], _TRUTH_QUERY)
    if "since_us" not in parameters:
        raise ContractError("query.value", "since_us: give the at_us of the forecast.", parameter="since_us")
    since_us = whole_number(parameters, "since_us", 0, 0, _MICROSECONDS_MAX)
    return Response(_encode(await forecasts.truth(since_us)), media_type="application/json")


HANDLERS = [get_forecast, get_truth]


def _answers(schema: str, what: str, *statuses: int) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    problems = {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in (*statuses, 500)}
    return {"200": {"description": what, "content": content}, **problems}


def _parameter(name: str, what: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": what, "schema": schema}


_COMMON: dict[str, Any] = {"tags": ["operators"], "security": [{"operatorToken": []}]}
PATHS: dict[str, Any] = {
    "/v1/forecast": {
        "get": {
            **_COMMON,
            "operationId": "getForecast",
            "summary": "Time to drain, in all, by lane and by tenant, with an interval of 80 %",
            "description": "Nothing is changed, whatever is asked.",
            "parameters": [
                _parameter(
                    "if",
                    f"What would be different, clauses separated by `;`, such as {EXAMPLES}.",
                    type="string",
                    maxLength=IF_CHARACTERS_MAX,
                ),
                _parameter(
                    "tenants",
                    "How many tenants to tell apart, those with the most waiting.",
                    type="integer",
                    minimum=0,
                    maximum=TENANTS_MAX,
                    default=TENANTS_DEFAULT,
                ),
            ],
            "responses": _answers("ForecastView", "As seen from now.", 401, 422, 503),
        }
    },
    "/v1/forecast/truth": {
        "get": {
            **_COMMON,
            "operationId": "getForecastTruth",
            "summary": "What came true of a forecast",
            "parameters": [
                {
                    **_parameter(
                        "since_us", "`at_us` of the forecast.", type="integer", minimum=0, maximum=_MICROSECONDS_MAX
                    ),
                    "required": True,
                }
            ],
            "responses": _answers("TruthView", "So far.", 401, 422),
        }
    },
}
