"""The JSON Schema of a space file, made from the catalog: for editors, and for programs that write spaces."""
from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from ..core.bundle import EDGES
from ..core.domain import Above, Between, Choice, Domain, Int, Legal, Parameter, Value
from ..core.trick import Trick
from ..tricks.catalog import catalog
from .document import SpaceDocument
from .domains import SEARCH, WORDS

Schema = dict[str, Any]
DRAFT = "https://json-schema.org/draft/2020-12/schema"
SIGNS = {">": "above", ">=": "from", "<": "below", "<=": "to"}
TITLE = "A search space of autotricks"


def schema() -> Schema:
    """Return the schema, draft 2020-12: every section, trick, parameter, legal range and domain word.

    What no schema can say is left to `autotricks check`: tricks that quarrel, `low` above `high`, files and models.
    """
    result = SpaceDocument.model_json_schema()
    shared = dict[str, Schema]()
    result["properties"]["tricks"] = {"type": "object", "minProperties": 1, "additionalProperties": False,
                                      "description": "Which tricks to search; {} searches a trick's own domains.",
                                      "properties": {name: _trick(trick, shared) for name, trick in catalog().items()}}
    for name, parameter in EDGES.items():
        result["$defs"][name] = _searched(parameter, shared)
    result["$defs"] |= dict(sorted(shared.items()))
    return {"$schema": DRAFT, **_plain(result), "title": TITLE}


def _trick(trick: type[Trick], shared: dict[str, Schema]) -> Schema:
    properties: Schema = {name: _searched(parameter, shared) for name, parameter in trick.declared().items()}
    if all(slot.phased for slot in trick.seats):
        properties |= {name: {"$ref": f"#/$defs/{name}"} for name in EDGES}
    properties["always"] = {"type": "boolean", "description": "Whether every trial has it, the baseline too."}
    return {"description": (trick.__doc__ or "").strip().splitlines()[0], "type": ["object", "null"],
            "properties": properties, "additionalProperties": False}


def _searched(parameter: Parameter, shared: dict[str, Schema]) -> Schema:
    """Return what may stand for a parameter; parameters of the same type and range share it."""
    default = parameter.default
    legal = parameter.legal
    unit = f"{parameter.unit}; " if parameter.unit else ""
    words = re.findall(r"[<>]=?|[\w.-]+", str(legal))
    key = "_".join([type(default).__name__, *(SIGNS.get(word, word) for word in words)])
    shared[key] = {"anyOf": [_value(legal, default), {"const": SEARCH}, _domain(legal, default)]}
    return {"description": f"{unit}{legal}; {default!r} unless told", "default": default, "$ref": f"#/$defs/{key}"}


def _value(legal: Legal, default: Value) -> Schema:
    if isinstance(default, bool):
        return {"type": "boolean", **({"enum": list(legal.options)} if isinstance(legal, Choice) else {})}
    if isinstance(legal, Choice):
        return {"enum": list(legal.options)}
    if isinstance(default, str):
        return {"type": "string"}
    return {"type": "integer" if isinstance(default, int) else "number", **_bounds(legal)}


def _bounds(legal: Legal | Domain) -> Schema:
    """Return the keywords of a range; an end that does not count is exclusive."""
    if isinstance(legal, Above):
        return {"exclusiveMinimum": legal.low}
    if isinstance(legal, Int):
        return {"minimum": legal.low, "maximum": legal.high}
    if not isinstance(legal, Between):
        return {}
    keywords: Schema = {("exclusiveMinimum" if legal.low in legal.without else "minimum"): legal.low}
    if math.isfinite(legal.high):
        keywords["exclusiveMaximum" if legal.high in legal.without else "maximum"] = legal.high
    within = [value for value in legal.without if value not in (legal.low, legal.high)]
    return {**keywords, **({"not": {"enum": within}} if within else {})}


def _domain(legal: Legal, default: Value) -> Schema:
    """Return the domain words that fit a parameter, of which one is to stand."""
    value = _value(legal, default)
    words = {"choice": {"type": "array", "items": value, "minItems": 1, "uniqueItems": True}}
    if not isinstance(default, (bool, str)):
        end = {"type": "number", **(_bounds(legal) if not isinstance(legal, Choice) else {})}
        whole = {**end, "type": "integer"}
        above = {"exclusiveMinimum": 0}
        last = {key: item + 1 if key in ("maximum", "exclusiveMaximum") else item for key, item in whole.items()}
        real = {} if isinstance(default, int) else {
            "uniform": _range(end, end), "loguniform": _range({"allOf": [end, above]}, {"allOf": [end, above]}),
            "quniform": _range(end, end, {"type": "number", **above})}
        words |= {**real, "randint": _range(whole, last),
                  "lograndint": _range({"allOf": [whole, above]}, {"allOf": [last, above]})}
    for word, content in words.items():
        content["description"] = WORDS[word]
    return {"type": "object", "properties": words, "additionalProperties": False, "minProperties": 1,
            "maxProperties": 1}


def _range(*items: Mapping[str, Any]) -> Schema:
    return {"type": "array", "prefixItems": [dict(item) for item in items], "items": False, "minItems": len(items)}


def _plain(part: Any) -> Any:
    """Return a schema without the titles that pydantic makes of names."""
    if isinstance(part, dict):
        return {key: _plain(value) for key, value in part.items() if key != "title" or not isinstance(value, str)}
    return [_plain(value) for value in part] if isinstance(part, list) else part
