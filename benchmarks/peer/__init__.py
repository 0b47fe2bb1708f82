"""The yardstick: a practice market order as a FastAPI + SQLAlchemy service is usually written.

It shares no code with AsTrade and isn't part of the product. It is neither tuned nor slowed down.
"""
