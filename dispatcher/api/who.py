"""Who asks: the principal of a request, as the routes want it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from dispatcher.access.principal import LOCAL, Principal


def principal(request: Request) -> Principal:
    """Whom the access check has let in; on a console without accounts, whoever sits at this machine."""
    found: Principal = getattr(request.state, "principal", LOCAL)
    return found


Who = Annotated[Principal, Depends(principal)]
