"""What every page on a port stands behind: limits, errors and time limits for slow clients."""
