//! The forms of a patch: merge patch, JSON patch and strategic merge patch.
