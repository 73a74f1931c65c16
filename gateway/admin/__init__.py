"""Admin port: health, metrics and streams over HTTP. Imported only after the gateway listens."""
