"""The paper's own figures, to stand beside ours: copied from its Tables 1 and 2, never measured here."""

import pandas as pd

LEVELS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
# (dataset, class) in the order of the paper's columns.
SETS: tuple[tuple[str, str], ...] = (
    ("mvtec_ad", "capsule"),
    ("mvtec_ad", "cable"),
    ("mvtec_ad", "metal_nut"),
    ("mvtec_ad", "pill"),
    ("mvtec_ad", "screw"),
    ("mvtec_ad", "zipper"),
    ("ksdd2", ""),
)
# Table 1: AUROC of the refined detector, one row a level, one column a set.
AUROC = (
    (0.8592, 0.9288, 0.8880, 0.8888, 0.8938, 0.9378, 0.9403),
    (0.8498, 0.8368, 0.8688, 0.8580, 0.868, 0.8880, 0.9238),
    (0.8288, 0.856, 0.8480, 0.8558, 0.8524, 0.8504, 0.9024),
    (0.8102, 0.6756, 0.8464, 0.8016, 0.8234, 0.8232, 0.9109),
    (0.8012, 0.5716, 0.7792, 0.8096, 0.7988, 0.8096, 0.8923),
    (0.7872, 0.4604, 0.8096, 0.7816, 0.7436, 0.7340, 0.8967),
)
# Table 2: (good, bad) images removed, one row a level, one pair a set.
REMOVALS = (
    ((16, 0), (6, 0), (14, 0), (17, 0), (15, 0), (19, 0), (11, 0)),
    ((11, 6), (5, 7), (6, 8), (9, 8), (12, 5), (10, 5), (3, 5)),
    ((5, 12), (5, 9), (5, 11), (5, 11), (6, 9), (8, 9), (3, 7)),
    ((4, 14), (4, 11), (3, 11), (4, 13), (7, 11), (5, 11), (2, 8)),
    ((2, 13), (3, 12), (2, 9), (5, 12), (6, 10), (6, 14), (4, 12)),
    ((5, 13), (4, 12), (1, 9), (3, 11), (2, 12), (5, 13), (4, 13)),
)


def paper_results() -> pd.DataFrame:
    """Return one row a set and level: ``dataset, product_class, level, auroc, good, bad``, all the paper's."""
    rows = [
        {
            "dataset": dataset,
            "product_class": product_class,
            "level": level,
            "auroc": AUROC[row][column],
            "good": REMOVALS[row][column][0],
            "bad": REMOVALS[row][column][1],
        }
        for row, level in enumerate(LEVELS)
        for column, (dataset, product_class) in enumerate(SETS)
    ]
    return pd.DataFrame(rows)
