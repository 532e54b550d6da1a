//! Black-box scenarios over real sockets; the tests live in `tests/`.
