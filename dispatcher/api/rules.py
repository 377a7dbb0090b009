"""Rules: what each route asks of whoever calls it. A route without one keeps the app from starting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from dispatcher.access.principal import Principal, Reach, Role

# What Starlette serves itself: the description of the API and the files of the page. No data is in them.
FILES = frozenset({"/api/openapi.json", "/openapi.json", "/console"})
_REACH = {Role.VIEWER: Reach.READ, Role.ADMIN: Reach.ADMIN}


@dataclass(frozen=True, slots=True)
class Rule:
    """The least role; None is anybody. A key must moreover reach that far."""

    role: Role | None
    reach: Reach | None = None


def needs(role: Role, reach: Reach | None = None) -> Any:
    """The rule of a route: `@router.post(…, dependencies=[needs(Role.OFFICER)])`, or
    `who: Annotated[Principal, needs(Role.OFFICER)]`, which gives the principal as well.

    A key has to reach READ for a viewer's route, ADMIN for an admin's and ACT for what is between, unless said.
    """
    return Depends(_checking(Rule(role, reach or _REACH.get(role, Reach.ACT))))


def anybody() -> Any:
    """The rule of a route that shows nothing of anyone: also those who are not signed in may call it."""

    async def check(request: Request) -> Principal | None:
        return _principal(request)

    return Depends(ruling(check, Rule(None)))


def _checking(rule: Rule) -> Callable[[Request], Any]:
    async def check(request: Request) -> Principal:
        return refuse(request, rule)

    return ruling(check, rule)


def refuse(request: Request, rule: Rule) -> Principal:
    """Who asks, if the rule lets them. Raises HTTPException."""
    principal = _principal(request)
    if principal is None:
        raise HTTPException(401, "sign in first, or send a key", {"www-authenticate": "Bearer"})
    if rule.role is not None and not principal.at_least(rule.role):
        raise HTTPException(403, f"this needs the role {rule.role}; yours is {principal.role}")
    if rule.reach is not None and not principal.reaches(rule.reach):
        raise HTTPException(403, f"this key does not reach {rule.reach}")
    return principal


def ruling(check: Callable[..., Any], rule: Rule) -> Callable[..., Any]:
    """Says which rule a check enforces, for whoever walks the routes."""
    check.__dict__["rule"] = rule
    return check


def _principal(request: Request) -> Principal | None:
    found: Principal | None = request.state.principal  # without the access check in front this fails, as it should
    return found


def ruled(routes: Sequence[BaseRoute]) -> Iterator[tuple[str, frozenset[str], Rule | None]]:
    """Path, methods and rule of every route; None where there is no rule, or more than one."""
    for route in iter_route_contexts(routes):
        path = route.path or ""
        dependant = getattr(route.original_route, "dependant", None)
        if dependant is None:
            yield path, frozenset(route.methods or ()), Rule(None) if path in FILES else None
            continue
        rules = [rule for found in dependant.dependencies if (rule := getattr(found.call, "rule", None)) is not None]
        yield path, frozenset(route.methods or ()), rules[0] if len(rules) == 1 else None


def check_rules(app: FastAPI) -> None:
    """Raises RuntimeError that names the routes for which nobody has said who may call them."""
    lacking = [f"{' '.join(sorted(methods))} {path}" for path, methods, rule in ruled(app.routes) if rule is None]
    if lacking:
        raise RuntimeError(f"routes without rule, or with several (see dispatcher.api.rules): {', '.join(lacking)}")
