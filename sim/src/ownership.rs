//! Who owns which field of an object, as server-side apply decides it.
