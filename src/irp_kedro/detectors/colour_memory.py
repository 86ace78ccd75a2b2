"""A patch memory of colours (decision 0046)."""

from irp_kedro.detectors.patch_memory import PatchMemory


class ColourMemory(PatchMemory):
    """Compares the colours of small cells, which need no network: stains, and print of another colour."""

    registered = "colour_memory"
