"""Images to numbers, once: preparation, rotated views, a frozen backbone, and the bank that keeps them."""
