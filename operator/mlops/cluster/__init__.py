"""The Kubernetes side: what kopf watches becomes keys and views, what is planned becomes API calls."""
