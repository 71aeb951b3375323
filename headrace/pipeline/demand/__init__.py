"""Demand, as pure values: the window of a consumer, the ledger of a producer, and the buffer between them."""
