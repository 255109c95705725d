"""Rows that keep watch over how they are read."""


class CountingRows:
    """Rows that count how many of them have been asked for."""

    def __init__(self, rows):
        self.rows, self.shape, self.dtype, self.n_read = rows, rows.shape, rows.dtype, 0

    def __getitem__(self, rows):
        self.n_read += len(self.rows[rows])
        return self.rows[rows]
