"""The paper's method as a plain library: arrays in, numbers out. No Django, no Celery."""
