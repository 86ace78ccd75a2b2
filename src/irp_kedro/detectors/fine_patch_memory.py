"""Patches of shallower maps, remembered."""

from irp_kedro.detectors.patch_memory import PatchMemory


class FinePatchMemory(PatchMemory):
    """The same on shallower maps and a finer grid: small defects, and those of colour and texture."""

    registered = "fine_patch_memory"
