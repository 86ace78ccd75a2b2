import re

import pytest

from irp_kedro.datasets.mvtec_addresses import ADDRESSES, archive_checksum, archive_url


def test_all_fifteen_classes_have_an_address_of_their_own() -> None:
    assert len({archive_url(name) for name in ADDRESSES}) == 15


@pytest.mark.parametrize("name", ADDRESSES)
def test_an_address_ends_in_the_class_and_a_checksum_is_a_sha256(name: str) -> None:
    assert re.fullmatch(
        rf"https://\S+/shares/\d+/[0-9a-f]{{32}}/download/[0-9-]+/{name}\.tar\.xz", archive_url(name)
    )
    checksum = archive_checksum(name)
    assert checksum is None or re.fullmatch(r"sha256:[0-9a-f]{64}", checksum)
