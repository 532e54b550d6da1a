//! Frames at 80×24.
