"""The commands of ``kedro irp …``: thin, over the rooms below."""
