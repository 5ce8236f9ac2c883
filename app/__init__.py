"""Who asks: command line, pages and services."""
