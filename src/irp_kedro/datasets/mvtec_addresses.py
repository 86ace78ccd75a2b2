"""Where MVTec AD publishes each class, and the checksum of what it serves.

The addresses stand alike in three public loaders. A checksum is listed where at least two loaders that are not
copies of each other recorded it; elsewhere the SHA-256 of what arrives is logged, so that it can be noted.
"""

HOME = "https://www.mydrive.ch/shares"

# class: (share, file), SHA-256 or None
ADDRESSES: dict[str, tuple[str, str | None]] = {
    "bottle": (
        "150452/132a93367fb17cdf968dfb5c4013f6e7/download/420937370-1629958698/bottle.tar.xz",
        "sha256:726512129cb3b1f47d4f6cd7c7fc9170db7fc209132249c788fec06029cb5dc3",
    ),
    "cable": (
        "150453/10f960e07fec2838b2cd512586633a32/download/420937413-1629958794/cable.tar.xz",
        None,
    ),
    "capsule": (
        "150454/e0ce6dd74eb150f46c0d98131b3703f2/download/420937454-1629958872/capsule.tar.xz",
        "sha256:f6a41cb11f1589d552888fe9c43a1adcbcae15b70073e19093322f836d00a2b6",
    ),
    "carpet": (
        "150455/eac7fbce84d93a5094e13f391170eca4/download/420937484-1629959013/carpet.tar.xz",
        "sha256:d9dd5064515a20bd75cf24d223c570579141abd72388beef892780b74dbaa85d",
    ),
    "grid": (
        "150456/bb0b2e3dc804ccb8b4485e01f8e4493b/download/420937487-1629959044/grid.tar.xz",
        "sha256:d94a9a651cbfaee22c94d06cf8fa8204a590c872362de0489eb34f1645328de8",
    ),
    "hazelnut": (
        "150457/51d49f65e84bdc100ff8035d7dd783ea/download/420937545-1629959162/hazelnut.tar.xz",
        None,
    ),
    "leather": (
        "150458/923030ce14e10a7d147e95d0f8885f6b/download/420937607-1629959262/leather.tar.xz",
        None,
    ),
    "metal_nut": (
        "150459/c68856a21dca589b0f8ff6d4ee0f18f4/download/420937637-1629959294/metal_nut.tar.xz",
        "sha256:86e3c8e163ceb19146ad3ddc408e85cc34ae02e0da430e07a73bac6bbb48532a",
    ),
    "pill": (
        "150460/d4f1c04da67034ccc8d8b5fa3e73f244/download/420938129-1629960351/pill.tar.xz",
        None,
    ),
    "screw": (
        "150461/242f454cc6385e5693c4fd4b94567d1e/download/420938130-1629960389/screw.tar.xz",
        "sha256:0a27a365a21e472d19b9fb48cb8e4002b49fabe083bff7f4c16fa57d78154f10",
    ),
    "tile": (
        "150462/5479f0fdc97bc6fa16eab0cb0cf0109f/download/420938133-1629960456/tile.tar.xz",
        None,
    ),
    "toothbrush": (
        "150463/895a1a5fb84b958f07417784b060434b/download/420938134-1629960477/toothbrush.tar.xz",
        "sha256:fe72a34b4b0d074f84e844be7ef8c4f64f7f02f20e25f19c9e3b4a231c8bea77",
    ),
    "transistor": (
        "150464/99b8ea0332438d64fcc2475ee73f9c29/download/420938166-1629960554/transistor.tar.xz",
        None,
    ),
    "wood": (
        "150465/d5b4115b720cdb54d217e75636e6e374/download/420938383-1629960649/wood.tar.xz",
        None,
    ),
    "zipper": (
        "150466/bd155b557520edaf692d9bfdb915c24a/download/420938385-1629960680/zipper.tar.xz",
        "sha256:7ab46e0e195da145db30052baea3d3a5d14c5f0e710137c968e0423f02cb942d",
    ),
}


def archive_url(product_class: str) -> str:
    """Return the address of a class's archive.

    >>> archive_url("pill").rsplit("/", 1)[-1]
    'pill.tar.xz'
    """
    return f"{HOME}/{ADDRESSES[product_class][0]}"


def archive_checksum(product_class: str) -> str | None:
    """Return ``sha256:…`` of a class's archive, where it is known well enough to refuse another."""
    return ADDRESSES[product_class][1]
