"""Who asks: the principal of a request, as the routes want it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, HTTPException, Request

from dispatcher.access.principal import Principal


def principal(request: Request) -> Principal:
    """Whom the access check has let in; on a console without accounts, whoever sits at this machine."""
    found: Principal | None = request.state.principal
    if found is None:
        raise HTTPException(401, "sign in first, or send a key", {"www-authenticate": "Bearer"})
    return found


Who = Annotated[Principal, Depends(principal)]
