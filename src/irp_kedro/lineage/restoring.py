"""Put the images of a snapshot into a folder, byte for byte."""

from collections.abc import Sequence
from pathlib import Path

from irp_kedro.errors import LineageError
from irp_kedro.lineage.contents import StoredImage
from irp_kedro.lineage.finding import Snapshot
from irp_kedro.lineage.pointer import file_md5
from irp_kedro.lineage.rebuilding import rebuild
from irp_kedro.lineage.store import LineageStore
from irp_kedro.writing import folder_aside


def restore(
    snapshot: Snapshot, store: LineageStore, target: Path, *, originals: bool = False, hardlink: bool = False
) -> list[StoredImage]:
    """Put every image of a snapshot into a new folder; all of them or none. Every file's MD5 is checked.

    Args:
        snapshot: to restore.
        store: that holds its objects.
        target: a folder that does not exist yet, or is empty.
        originals: name each file as its source was, below the folder that all sources shared.
        hardlink: link the files to the store's instead of copying: no space is used, but the files are
            read-only, and whoever writes into one in place damages the store.

    Raises:
        LineageError: the folder holds something, an image is missing, or it does not have its MD5.
    """
    target = target.resolve()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise LineageError(f"'{target}' exists and is not empty; name a new folder, so that nothing is lost.")
    images = rebuild(snapshot, store)
    _refuse_missing(snapshot, images, store)
    with folder_aside(target) as folder:
        places = [folder / (image.original if originals else image.name) for image in images]
        for place in {place.parent for place in places}:
            place.mkdir(parents=True, exist_ok=True)
        _transfer([store.locate(image) for image in images], places, hardlink=hardlink)
        for image, place in zip(images, places, strict=True):
            if file_md5(place) != image.digest:
                raise LineageError(
                    f"'{store.locate(image)}' ({image.original}) is no longer the image of the snapshot: its "
                    f"MD5 is not {image.digest}. Nothing was restored."
                )
    return images


def _refuse_missing(snapshot: Snapshot, images: Sequence[StoredImage], store: LineageStore) -> None:
    missing = [image for image in images if not store.locate(image).is_file()]
    if missing:
        remedy = (
            f"bring them from a remote: dvc fetch {snapshot.folder.parent}/*/*.dvc"
            if snapshot.record.mode == "dvc"
            else "plain mode keeps no copy of the images, so the source files must be where they were"
        )
        raise LineageError(
            f"{len(missing)} of the {len(images)} images of {snapshot.name} are not here "
            f"(first: {missing[0].original}); {remedy}"
        )


def _transfer(sources: Sequence[Path], targets: Sequence[Path], *, hardlink: bool) -> None:
    from dvc_objects.fs import generic, localfs

    generic.transfer(
        localfs,
        [path.as_posix() for path in sources],
        localfs,
        [path.as_posix() for path in targets],
        links=["hardlink", "copy"] if hardlink else ["reflink", "copy"],
    )
