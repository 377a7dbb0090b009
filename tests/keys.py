"""Keys of runs that are compared: the noise in evidence follows from them, and with it names of pictures."""

PRIVACY_KEY = "of the tests: one for all whose pictures are compared"
