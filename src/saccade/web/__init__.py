"""HTTP servers: request guard, limits, error responses and timeouts for slow clients."""
