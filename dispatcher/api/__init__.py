"""The HTTP edge: FastAPI app, schemas, server-sent events."""
