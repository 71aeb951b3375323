"""The contracts, room by room: tests/<floor>/test_<module>.py; shared fakes live in tests/fakes/."""
