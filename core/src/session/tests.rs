//! Both ends of the link, driven against each other.

pub(crate) mod fixture;
