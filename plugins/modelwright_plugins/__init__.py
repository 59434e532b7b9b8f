"""The built-in components: one folder a kind (its interface in `__init__.py`), one file a family."""
