"""What runs inside pods: ingest, fetch, train, verify, serve, drift. No kopf, no kubernetes, no operator code."""
