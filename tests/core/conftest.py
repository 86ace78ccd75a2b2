"""How hard properties are tried: few examples, no deadline, because machines are shared."""

from hypothesis import settings

settings.register_profile("irp", max_examples=20, deadline=None)
settings.load_profile("irp")
